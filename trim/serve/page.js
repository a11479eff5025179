"use strict";
const at = (id) => document.getElementById(id);
let under_way = null;

function list_points() {
  const router = at("router").selectedOptions[0];
  const points = [...at("points").content.children].filter((point) => point.dataset.router === router.value);
  at("point").replaceChildren(...points.map((point) => point.cloneNode(true)));
  const any = router.dataset.anyBudget === "true";
  at("of-budget").hidden = !any;
  at("of-points").hidden = any || points.length < 2;
  describe();
}

function model() {
  return at("of-budget").hidden ? at("point").value : `${at("router").value}@${Number(at("budget").value)}`;
}

function describe() {
  const known = [...at("point").options].find((point) => point.value === model());
  at("description").textContent = known ? known.title : "";
}

function fail(text) {
  at("error").textContent = text;
  at("error").hidden = false;
}

function add_step(step, text) {
  const item = document.createElement("li");
  item.className = step.writer;
  item.tabIndex = 0;
  const score = document.createElement("span");
  score.className = "score";
  const rated = step.score === null ? "" : `${step.draft_thrown_away ? "draft " : ""}score ${step.score.toFixed(3)}`;
  score.textContent = [step.writer, rated].filter(Boolean).join(", ");
  item.append(score, document.createTextNode(text.trim()));
  if (step.draft !== undefined && step.draft !== null) {
    const draft = document.createElement("span");
    draft.className = "draft";
    draft.textContent = step.draft;
    item.append(draft);
  }
  if (step.without) {
    const mark = document.createElement("div");
    mark.className = "mark";
    mark.textContent = step.without === "budget" ? "the budget is used up" : `without the ${step.without} model`;
    item.append(mark);
  }
  at("steps").append(item);
}

function count(totals, step) {
  totals.whole += step.tokens;
  totals.strong += step.writer === "strong" ? step.tokens : 0;
  totals.weak += step.draft_tokens;
  for (const name of ["strong", "weak", "whole"]) at(name).textContent = totals[name];
  at("share").value = totals.whole ? totals.strong / totals.whole : 0;
}

function close_answer(told) {
  at("money").textContent = told.money.toExponential(2);
  at("whole-money").textContent = told.always_strong.money.toExponential(2);
  at("strong").textContent = told.strong_tokens;
  const saved = (100 * told.estimated_saving.strong_tokens).toFixed(0);
  at("summary").textContent = `${told.router} at ${told.setting}: about ${saved} % of always-strong's tokens saved.`;
}

function take(chunk, totals) {
  if (chunk.error) throw new Error(chunk.error.message);
  const step = chunk.trim && chunk.trim.step;
  if (step) {
    add_step(step, chunk.choices[0].delta.content || "");
    count(totals, step);
  } else if (chunk.trim) {
    close_answer(chunk.trim);
  }
}

async function read_events(response, each) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") each(JSON.parse(line.slice(6)));
    }
  }
}

async function ask(event) {
  event.preventDefault();
  at("error").hidden = true;
  at("steps").replaceChildren();
  at("summary").textContent = "";
  at("money").textContent = at("whole-money").textContent = "–";
  at("answer").hidden = false;
  at("send").disabled = true;
  at("stop").hidden = false;
  under_way = new AbortController();
  const totals = { strong: 0, weak: 0, whole: 0 };
  const headers = { "Content-Type": "application/json" };
  if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
  const body = {
    model: model(),
    messages: [{ role: "user", content: at("question").value.trim() }],
    stream: true,
    trim: { drafts: true },
  };
  try {
    const sent = { method: "POST", headers, body: JSON.stringify(body), signal: under_way.signal };
    const response = await fetch("/v1/chat/completions", sent);
    if (!response.ok) throw new Error((await response.json()).error.message);
    await read_events(response, (chunk) => take(chunk, totals));
  } catch (error) {
    if (error.name !== "AbortError") fail(error.message);
    if (!at("steps").children.length) at("answer").hidden = true;
  } finally {
    at("send").disabled = false;
    at("stop").hidden = true;
  }
}

at("ask").addEventListener("submit", ask);
at("stop").addEventListener("click", () => under_way && under_way.abort());
at("router").addEventListener("change", list_points);
for (const id of ["point", "budget"]) at(id).addEventListener("input", describe);
list_points();

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const byId = (id) => document.getElementById(id);

// Texts of models and problems reach the page through textContent only.
function element(tag, classes, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  return made;
}

function fill(select, options) {
  for (const [value, text] of options) {
    const option = element("option", "", text);
    option.value = value;
    select.append(option);
  }
}

// Cost-accuracy curves.
const chart = read("chart-data");
const GROUPS = {
  trim: "TRIM", query: "query level", cascade: "cascades", step: "other step routers", reference: "references",
  ablation: "variants",
};

function spec(benchmark, unit, groups) {
  const points = chart.points.filter((p) => p.benchmark === benchmark && groups.has(p.group));
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const ink = dark ? "#e8ebef" : "#1b2330";
  const narrow = innerWidth < 700;
  const x = {field: unit, type: "quantitative", title: chart.units[unit] + " / always-strong's", scale: {zero: true}};
  const faded = {condition: {param: "chosen", value: 1}, value: 0.08};
  const color = {
    field: "router", type: "nominal", sort: null, scale: {scheme: "tableau20"},
    legend: {orient: narrow ? "bottom" : "right", columns: narrow ? 2 : 1, title: null, symbolLimit: 60},
  };
  const accuracy = {field: "accuracy", type: "quantitative", title: "accuracy", scale: {zero: false}};
  const tooltip = [
    {field: "router"}, {field: "setting"}, {field: "accuracy"}, {field: "low"}, {field: "high"},
    {field: "tokens", title: "strong tokens a problem"}, {field: unit, title: chart.units[unit] + ", share"},
  ];
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    width: "container", height: 440, background: "transparent", data: {values: points},
    config: {axis: {labelColor: ink, titleColor: ink, gridOpacity: 0.25}, legend: {labelColor: ink}, view: {stroke: null}},
    layer: [
      {mark: {type: "rule", strokeWidth: 1}, encoding: {x, y: {...accuracy, field: "low"}, y2: {field: "high"}, color,
        opacity: {condition: {param: "chosen", value: 0.35}, value: 0.03}}},
      {mark: "line", encoding: {x, y: accuracy, color, opacity: faded, order: {field: unit}}},
      {
        params: [{name: "chosen", select: {type: "point", fields: ["router"]}, bind: "legend"}],
        mark: {type: "point", filled: true, size: 50}, encoding: {x, y: accuracy, color, opacity: faded, tooltip},
      },
    ],
  };
}

function draw() {
  const groups = new Set([...document.querySelectorAll("#chart-groups input:checked")].map((box) => box.value));
  const wanted = spec(byId("chart-benchmark").value, byId("chart-unit").value, groups);
  byId("chart").dataset.points = wanted.data.values.length;
  return vegaEmbed("#chart", wanted, {actions: false, renderer: "svg", ast: true});  // expressions are interpreted: the policy allows no eval
}

fill(byId("chart-benchmark"), Object.entries(chart.benchmarks));
fill(byId("chart-unit"), Object.entries(chart.units));
byId("chart-unit").value = chart.cost;
for (const [group, text] of Object.entries(GROUPS)) {
  if (!chart.points.some((p) => p.group === group)) continue;
  const label = element("label"), box = element("input");
  box.type = "checkbox";
  box.value = group;
  box.checked = ["trim", "query", "reference"].includes(group);
  label.append(box, " " + text);
  byId("chart-groups").append(label);
}
for (const id of ["chart-benchmark", "chart-unit", "chart-groups"]) byId(id).addEventListener("change", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();

// Episodes.
const shown = read("episode-data");
const MARKS = {accept: "weak", rewrite: "strong", delegate: "strong", discard: "thrown away"};
const SAID = {
  accept: "weak step accepted", rewrite: "rewritten by the strong model", delegate: "written by the strong model",
  discard: "weak step, thrown away with its solution",
};
let chosen = 0;

function current() {
  const benchmark = shown.benchmarks[byId("episode-benchmark").value];
  return [benchmark, Number(byId("episode-problem").value)];
}

function judged(value) {
  return value === null ? "" : value ? "right" : "wrong";
}

function overview() {
  const [benchmark, index] = current(), problem = benchmark.problems[index], rows = byId("episode-rows");
  byId("episode-question").textContent = problem.question;
  byId("episode-answer").textContent = `answer ${problem.answer}; ${problem.kind}`;
  rows.replaceChildren();
  benchmark.runs.forEach((run, place) => {
    const row = element("tr", place === chosen ? "chosen" : ""), cells = element("td");
    row.append(element("td", "name", run.title), element("td", run.correct[index] ? "right" : "wrong",
      run.correct[index] ? "✓ solved" : "✗ not solved"));
    run.steps[index].forEach(([decision, , , score], step) => {
      const cell = element("span", "cell " + decision, score === null ? MARKS[decision][0] : score.toFixed(2));
      cell.title = `step ${step + 1}: ${SAID[decision]}`;
      cells.append(cell);
    });
    row.append(cells, element("td", "soft", run.setting));
    row.tabIndex = 0;
    const pick = () => { chosen = place; overview(); };
    row.addEventListener("click", pick);
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") pick(); });
    rows.append(row);
  });
  detail(benchmark.runs[chosen], index);
}

function detail(run, index) {
  const place = byId("episode-steps");
  place.replaceChildren(element("h3", "", `${run.title}, ${run.setting}`));
  for (const [decision, text, draft, score, right, draftRight] of run.steps[index]) {
    const step = element("div", "step " + decision), about = element("small", "", SAID[decision]);
    if (score !== null) about.append(`; score of the draft ${score}`);
    step.append(about, element("br"));
    if (draft >= 0) step.append(element("del", judged(draftRight), shown.texts[draft]), " ");
    if (draft >= 0 && draftRight !== null) step.append(element("small", judged(draftRight), judged(draftRight) + " "));
    if (draft >= 0 && text >= 0) step.append(element("br"));
    if (text >= 0) step.append(element("span", "", shown.texts[text]), " ");
    if (text >= 0 && right !== null) step.append(element("small", judged(right), judged(right)));
    place.append(step);
  }
}

function problems() {
  const select = byId("episode-problem");
  select.replaceChildren();
  shown.benchmarks[byId("episode-benchmark").value].problems.forEach((problem, i) =>
    fill(select, [[i, `${problem.id}: ${problem.kind}`]]));
  chosen = Math.min(chosen, shown.benchmarks[byId("episode-benchmark").value].runs.length - 1);
  overview();
}

fill(byId("episode-benchmark"), Object.entries(shown.benchmarks).map(([name, found]) => [name, found.title]));
byId("episode-benchmark").addEventListener("change", problems);
byId("episode-problem").addEventListener("change", overview);
const first = Object.values(shown.benchmarks)[0];
chosen = Math.max(0, first.runs.findIndex((run) => run.name === "trim_thr"));
problems();

// Tables: sorted by a click on a column, filtered by what is typed.
function value(cell) {
  const number = parseFloat(cell.textContent);
  return Number.isNaN(number) ? cell.textContent.toLowerCase() : number;
}

function compare(one, other) {
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return one < other ? -1 : one > other ? 1 : 0;
}

for (const table of document.querySelectorAll("table.sorted")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending", sign = up ? 1 : -1;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
    rows.sort((a, b) => sign * compare(a[0], b[0]));
    table.tBodies[0].append(...rows.map((pair) => pair[1]));
  }));
}

for (const input of document.querySelectorAll("input.filter")) {
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of input.closest("section").querySelectorAll("tbody tr")) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

// The official client for Node and Vercel's AI SDK on the server. Arguments: URL, model; questions as JSON lines on stdin.
import { readFileSync } from "node:fs";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import OpenAI from "openai";

const [url, model] = process.argv.slice(2);
const questions = readFileSync(0, "utf8").trim().split("\n").map((line) => JSON.parse(line)).slice(0, 4);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 });
const provider = createOpenAICompatible({ name: "trim", baseURL: `${url}/v1`, apiKey: "unused", includeUsage: true });
const turns = (question) => [{ role: "user", content: question }];
const texts = { whole: [], streamed: [], helped: [], generated: [], flowing: [] };

for (const question of questions) {
  const messages = turns(question);
  const answer = await client.chat.completions.create({ model, messages });
  texts.whole.push(answer.choices[0].message.content);
  const chunks = await client.chat.completions.create({ model, messages, stream: true });
  let text = "";
  for await (const chunk of chunks) text += chunk.choices[0].delta.content ?? ""; // no look at whether there is a choice
  texts.streamed.push(text);
  texts.helped.push(await client.chat.completions.stream({ model, messages }).finalContent());
  const generated = await generateText({ model: provider(model), prompt: question, maxRetries: 0 });
  if (!(generated.usage.outputTokens > 0)) throw new Error("the AI SDK was given no usage");
  texts.generated.push(generated.text);
  const flowing = streamText({ model: provider(model), prompt: question, maxRetries: 0 });
  let pieces = "";
  for await (const piece of flowing.textStream) pieces += piece;
  texts.flowing.push(pieces);
}
console.log(JSON.stringify(texts));

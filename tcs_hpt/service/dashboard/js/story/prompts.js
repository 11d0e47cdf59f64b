// What the language models were asked and what they answered, word for word; read only when somebody looks.

import { get, studyPath } from "../api.js";
import { h, put } from "../dom.js";
import { count, duration, sentence } from "../format.js";
import { problemNote } from "../parts/problem.js";

/** The folded prompts; null when no model was asked. */
export function prompts(name, story) {
  if (!story.calls) return null;
  const inside = h("div", {}, h("p", { class: "loading" }, "Loading …"));
  const details = h("details", { class: "panel", "data-fold": "prompts" },
    h("summary", {}, `What the language model was asked and answered (${count(story.calls, "request")})`), inside);
  let read = false;
  details.addEventListener("toggle", async () => {
    if (!details.open || read) return;
    read = true;
    try {
      const calls = await get(studyPath(name, `/trials/${story.number}/calls`));
      put(inside, calls.items.map(one));
    } catch (error) {
      read = false;
      put(inside, problemNote(error));
    }
  });
  return details;
}

function one(call) {
  const cost = `${duration(call.seconds)}, ${call.prompt_tokens} tokens read, ${call.completion_tokens} written, temperature ${call.temperature}, seed ${call.seed}`;
  return h("section", { class: "call" },
    h("h3", {}, `${call.role}${call.attempt > 1 ? `, attempt ${call.attempt}` : ""}`),
    h("p", { class: "muted numbers" }, `${call.model}, template ${call.template}: ${cost}`),
    call.problems.length ? h("p", { class: "note bad" }, `Could not be used: ${call.problems.map(sentence).join(" ")}`) : null,
    call.messages.map((m) => h("details", {}, h("summary", {}, { system: "Instructions", user: "Question", assistant: "Its earlier answer" }[m.role] ?? m.role),
      h("pre", { class: "text", tabindex: 0 }, m.content))),
    call.thoughts ? h("details", {}, h("summary", {}, "Its thoughts"), h("pre", { class: "text", tabindex: 0 }, call.thoughts)) : null,
    h("p", {}, "Answer:"), h("pre", { class: "text", tabindex: 0 }, call.reply));
}

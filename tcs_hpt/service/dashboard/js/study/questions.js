// Questions about a study in plain words, answered from its records.

import { post, studyPath } from "../api.js";
import { add, h, put } from "../dom.js";
import { problemNote } from "../parts/problem.js";
import { link } from "../router.js";

const FIRST = ["Why is the best trial the best?", "What did not work?", "What should I try next?"];

/** The box. */
export function questions(name) {
  const field = h("input", { type: "text", id: "question", autocomplete: "off", maxlength: 500, placeholder: "e.g. why was lr lowered in trial 4?" });
  const ask = h("button", { type: "submit", class: "primary" }, "Ask");
  const answers = h("div", { "aria-live": "polite" });
  const offered = h("div", { class: "row suggestions" });

  async function submit(text) {
    const question = text.trim();
    if (!question) return;
    ask.disabled = true;
    try {
      const answer = await post(studyPath(name, "/questions"), { question });
      answers.prepend(answered(name, question, answer));
      offer(answer.suggestions?.length ? answer.suggestions : FIRST);
      field.value = "";
    } catch (error) {
      answers.prepend(problemNote(error));
    } finally {
      ask.disabled = false;
    }
  }

  function offer(texts) {
    put(offered, texts.map((text) => h("button", { type: "button", class: "quiet", onclick: () => submit(text) }, text)));
  }

  offer(FIRST);
  return h("section", { class: "questions", "aria-labelledby": "questions-heading" },
    h("h2", { id: "questions-heading" }, "Ask about this study"),
    h("p", { class: "muted" }, "Answers come from the records of this study, with the trials they rest on."),
    h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); submit(field.value); } },
      h("label", { for: "question", class: "unseen" }, "Question"), field, ask),
    offered, answers);
}

function answered(name, question, answer) {
  return h("article", { class: "answer" },
    h("h3", {}, question),
    answer.answer.split(/\n{2,}|\n/).filter(Boolean).map((line) => linked(h("p", {}), name, line)),
    answer.trials.length ? h("p", { class: "muted" }, "From ", answer.trials.map((n, i) => [i ? ", " : "", trialLink(name, n)])) : null);
}

function trialLink(name, number, text = `trial ${number}`) {
  return h("a", { href: link("studies", name, "trials", number) }, text);
}

/** A text in which every `trial N` is a link to it. */
export function linked(node, name, text) {
  let from = 0;
  for (const found of text.matchAll(/\btrial (\d+)\b/gi)) {
    add(node, text.slice(from, found.index), trialLink(name, found[1], found[0]));
    from = found.index + found[0].length;
  }
  return add(node, text.slice(from));
}

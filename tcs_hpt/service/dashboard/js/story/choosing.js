// How a trial's values were chosen: what was known, the diagnosis, the proposal, the guard.

import { h } from "../dom.js";
import { count, sentence } from "../format.js";
import { assignments } from "../study/facts.js";
import { source } from "../words.js";

/** A part of the story: a list item with a heading. */
export function step(title, what, ...content) {
  return h("li", {}, h("h2", {}, title), what ? h("p", { class: "muted" }, what) : null, content);
}

/** A fold that stays open when the page is drawn again. */
export function fold(key, summary, ...content) {
  return h("details", { "data-fold": key }, h("summary", {}, summary), content);
}

/** What somebody else wrote, shown as such. */
export function quote(text, by) {
  return text ? h("figure", { class: "quote" }, h("blockquote", {}, text), h("figcaption", { class: "muted" }, by)) : null;
}

/** The steps before the training. */
export function choosing({ detail, story, base }) {
  return [known(story), diagnosis(story), proposal(story, base), guard(story)];
}

function known(story) {
  if (!story.report) {
    const why = story.source === "start" ? "The first values follow from the start rule, so nothing had to be known." : "Whoever chose these values saw no report.";
    return step("What was known", why);
  }
  return step("What was known",
    "All epochs of the earlier trials were summed up in a short report by a program, not by a language model. This is what the choice rests on.",
    fold("report", "The state report", h("pre", { class: "text", tabindex: 0 }, story.report)));
}

function diagnosis(story) {
  const a = story.analysis;
  if (!a) return null;
  const who = a.by === "agents" ? "The analysis agent, a language model, read the report." : a.by === "diagnosis"
    ? "The analysis agent's answer could not be used, so the diagnosis computed from the curves stands in." : "No analysis could be used.";
  const expects = a.expected_outcome ? `${a.expected_outcome}${a.expected_size ? `, by a ${a.expected_size} amount` : ""}` : "nothing in particular";
  return step("The diagnosis", who,
    h("dl", { class: "facts" },
      row("It sees", sentence(a.problem_diagnosis)),
      a.specific_recommendation ? row("It recommends", h("code", {}, a.specific_recommendation)) : null,
      row("It expects", expects),
      row("Influence on the score", influence(a.impact_assessment))),
    quote(a.reasoning, a.by === "agents" ? "The model's own words; small models reason badly at times, and it is shown as it is." : "The reason given."),
    a.failure ? h("p", { class: "note" }, `Its own answer could not be used: ${sentence(a.failure)}`) : null,
    a.note ? h("p", { class: "note" }, sentence(a.note)) : null);
}

function row(name, value) {
  return value === null || value === "" ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function influence(impact) {
  const levels = ["high", "medium", "low"].map((level) => [level, Object.keys(impact ?? {}).filter((n) => impact[n] === level)]);
  const said = levels.filter(([, names]) => names.length).map(([level, names]) => `${level}: ${names.join(", ")}`);
  return said.length ? said.join("; ") : null;
}

function proposal(story, base) {
  const against = base ? `, starting from the values of trial ${base.number}` : "";
  const what = `Chosen by ${source(story.source)}${against}.`;
  return step("The proposal", what,
    story.change ? h("p", { class: "change" }, h("code", {}, story.change)) : null,
    quote(story.reason, story.source === "agents" ? "The optimizer agent's own words." : "The reason given."),
    story.deviation ? h("p", { class: "note" }, `It departs from the diagnosis: ${sentence(story.deviation)}`) : null,
    story.fallback ? h("p", { class: "note" }, `Somebody else acted in place of the method: ${sentence(story.fallback)}`) : null,
    offers(story),
    fold("values", "All values of this trial", assignments(story.config)));
}

function offers(story) {
  if (!story.options.length) return null;
  const chosen = story.options.includes(story.change);
  return [
    h("p", {}, `${count(story.options.length, "change")} ${story.options.length === 1 ? "was" : "were"} on offer, the most promising first:`),
    h("ol", { class: "offers" }, story.options.map((option) => h("li", { class: option === story.change ? "chosen" : null },
      h("code", {}, option), option === story.change ? h("span", { class: "mark" }, "chosen") : null))),
    chosen || !story.change ? null : h("p", { class: "muted" }, "What was tried is none of them."),
  ];
}

function guard(story) {
  const accepted = story.decision.accepted;
  const verdict = accepted ? "Accepted: every value is inside its range and keeps the rules of the study."
    : `Refused: ${story.decision.reasons.map(sentence).join(" ")}`;
  return step("The guard", "A program checks every proposal before anything runs: types, ranges, conditions, repeats.",
    h("p", { class: accepted ? "verdict good" : "verdict bad" }, verdict),
    story.rejected.length ? [
      h("p", {}, `${count(story.rejected.length, "earlier attempt")} ${story.rejected.length === 1 ? "was" : "were"} refused:`),
      h("ul", { class: "stack" }, story.rejected.map((r) => h("li", {}, `Attempt ${r.attempt}: `,
        Object.keys(r.config).length ? assignments(r.config, shown) : null, " ", r.reasons.map(sentence).join(" ")))),
    ] : null);
}

function shown(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

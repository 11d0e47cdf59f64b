// What happened in the training, and what came of it.

import { h } from "../dom.js";
import { count, duration, number, sentence } from "../format.js";
import { table } from "../parts/table.js";
import { link } from "../router.js";
import { FAILURES, better } from "../words.js";
import { fold, step } from "./choosing.js";

/** The training: curve, time, memory, logs. `drawn` is the curve's drawing, which stays while the page is open. */
export function training({ story, drawn }) {
  if (story.state === "running" && !story.curve.length) return step("The training", "It runs now; no epoch has been reported yet.");
  drawn.update(story.curve);
  const memory = story.usage.peak_memory_mb >= 1 ? `, at most ${number(Math.round(story.usage.peak_memory_mb))} MB of memory` : "";
  const what = story.state === "running" ? `It runs now: ${count(story.epochs, "epoch")} so far.`
    : `It took ${duration(story.seconds)}${story.epochs ? ` for ${count(story.epochs, "epoch")}` : ""}${memory}.`;
  return step("The training", what,
    story.stopped_early ? h("p", { class: "note" }, `It was asked to stop early: ${sentence(story.stopped_early)}`) : null,
    drawn.element,
    logs(story));
}

function logs(story) {
  if (!story.log_tail) return null;
  const parts = [["stderr", "What it printed as errors (the end)"], ["stdout", "What it printed (the end)"]];
  return parts.filter(([key]) => story.log_tail[key]?.trim()).map(([key, words]) => {
    const details = fold(key, words, h("pre", { class: "text", tabindex: 0 }, story.log_tail[key]));
    if (story.failure && key === "stderr") details.setAttribute("open", "");
    return details;
  });
}

/** The result against what was expected. */
export function outcome({ name, detail, story, base }) {
  if (story.state === "running") return step("The result", "Not there yet.");
  return step("The result", null,
    story.failure ? failure(story) : h("p", { class: "result" }, detail.metric, " ", h("strong", { class: "big numbers" }, number(story.value))),
    against(name, detail, story, base),
    metrics(story));
}

function failure(story) {
  const kind = FAILURES[story.failure.kind] ?? story.failure.kind;
  return h("div", { class: "note bad" }, h("p", {}, h("strong", {}, kind)), h("p", {}, sentence(story.failure.message)),
    h("p", {}, "A failure is a result like any other: the next choice takes it into account."));
}

function against(name, detail, story, base) {
  if (!base) return null;
  const to = h("a", { href: link("studies", name, "trials", base.number) }, `trial ${base.number}`);
  if (story.value === null || base.value === null) {
    return story.expected ? h("p", {}, `The analysis expected: ${story.expected}. Without a score it cannot be judged.`) : null;
  }
  const difference = story.value - base.value;
  const how = difference === 0 ? "exactly as good as" : `${number(Math.abs(difference), 3)} ${better(detail.direction, story.value, base.value) ? "better than" : "worse than"}`;
  const verdict = story.expected && story.actual
    ? story.expected === story.actual ? h("span", { class: "mark" }, "foreseen") : h("span", { class: "mark off" }, "not foreseen") : null;
  return [
    h("p", {}, "That is ", how, " ", to, ` (${number(base.value)}), which it started from.`),
    story.expected ? h("p", {}, "Expected: ", h("strong", {}, story.expected), ". Seen: ", h("strong", {}, story.actual ?? "nothing to compare"), ". ", verdict) : null,
  ];
}

function metrics(story) {
  const names = Object.keys(story.metrics);
  if (names.length < 2) return null;
  return fold("metrics", "All final numbers", table({
    caption: "Final metrics",
    flow: false,
    columns: [
      { title: "Metric", kind: "main", cell: (n) => n },
      { title: "Value", kind: "number", cell: (n) => number(story.metrics[n]) },
    ],
    rows: names,
  }));
}

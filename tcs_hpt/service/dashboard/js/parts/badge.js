// A study's state: a mark and a word, never colour alone.

import { h } from "../dom.js";
import { STATES } from "../words.js";

/** The state as a small label; its explanation is the title. */
export function badge(state) {
  const [word, what] = STATES[state] ?? [state, ""];
  return h("span", { class: "badge", "data-state": state, title: what }, word);
}

/** How a trial stands. */
export function trialBadge(state, failed = false) {
  const word = failed ? "failed" : state;
  return h("span", { class: "badge", "data-state": word }, word);
}

/** How many trials are done, as a bar with the numbers beside it. */
export function progressBar(done, total) {
  return h("span", { class: "progress" },
    h("progress", { max: Math.max(total, 1), value: Math.min(done, total), "aria-label": `${done} of ${total} trials` }),
    h("span", { class: "numbers" }, `${done} / ${total}`));
}

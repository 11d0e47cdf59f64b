// The trials of a study as pages of a table, newest first.

import { get, studyPath } from "../api.js";
import { h, put } from "../dom.js";
import { duration, number } from "../format.js";
import { trialBadge } from "../parts/badge.js";
import { problemNote } from "../parts/problem.js";
import { table } from "../parts/table.js";
import { link } from "../router.js";
import { source } from "../words.js";

const PAGE = 25;

/** The list; `update(model)` reads the shown page again when trials were added or ended. */
export function trialList(name, signal) {
  const body = h("div", {});
  const newer = h("button", { type: "button", onclick: () => turn(-1) }, "Newer");
  const older = h("button", { type: "button", onclick: () => turn(1) }, "Older");
  const where = h("span", { class: "muted numbers" });
  const pager = h("p", { class: "row", hidden: true }, newer, where, older);
  const element = h("section", { "aria-labelledby": "trials-heading" }, h("h2", { id: "trials-heading" }, "Trials"), body, pager);
  let page = 0;
  let numbers = [];
  let key = "";
  let asked = 0;

  function turn(by) {
    page += by;
    load();
  }

  async function load() {
    asked += 1;
    const mine = asked;
    const pages = Math.max(1, Math.ceil(numbers.length / PAGE));
    page = Math.min(Math.max(0, page), pages - 1);
    const end = numbers.length - page * PAGE;
    const begin = Math.max(0, end - PAGE);
    pager.hidden = pages < 2;
    newer.disabled = page === 0;
    older.disabled = page === pages - 1;
    if (!numbers.length) {
      put(body, h("p", { class: "muted" }, "No trial has been started."));
      return;
    }
    where.textContent = `${numbers[begin]} to ${numbers[end - 1]} of ${numbers.length}`;
    try {
      const after = begin > 0 ? numbers[begin - 1] : 0;
      const answer = await get(studyPath(name, "/trials"), { after, limit: end - begin }, signal);
      if (mine === asked) show(answer.items.reverse());
    } catch (error) {
      if (!signal.aborted && mine === asked && error.status !== 0) put(body, problemNote(error));
    }
  }

  function show(items) {
    const focused = document.activeElement?.closest("tr")?.dataset.number;
    put(body, trialTable(name, items));
    if (focused) body.querySelector(`tr[data-number="${focused}"] a`)?.focus({ preventScroll: true });
  }

  const update = (model) => {
    const states = model.progress.states.slice(-200).join();
    const newKey = `${model.progress.numbers.length} ${model.detail.best_trial} ${states}`;
    if (newKey === key) return;
    key = newKey;
    numbers = model.progress.numbers;
    load();
  };
  return { element, update };
}

function trialTable(name, rows) {
  return table({
    caption: "Trials, newest first",
    attributes: (t) => ({ "data-number": t.number, class: t.is_best ? "best" : null }),
    rows,
    columns: [
      { title: "Trial", kind: "main", cell: (t) => [h("a", { href: link("studies", name, "trials", t.number) }, `Trial ${t.number}`), t.is_best ? h("span", { class: "mark" }, "best") : null] },
      { title: "Score", kind: "number", cell: (t) => (t.value === null ? trialBadge(t.state, Boolean(t.failure) && t.state === "failed") : number(t.value)) },
      { title: "What was changed", cell: (t) => [t.change || (t.base_trial === null ? "first values" : "several values"), t.failure ? h("span", { class: "under bad" }, t.failure.message) : null] },
      { title: "Chosen by", cell: (t) => source(t.source) },
      { title: "Expected, then seen", cell: outcome },
      { title: "Training", kind: "number", cell: (t) => [duration(t.seconds), t.stopped_early ? h("span", { class: "under" }, "stopped early") : null] },
    ],
  });
}

function outcome(trial) {
  if (!trial.expected && !trial.actual) return "–";
  if (!trial.expected) return `nothing, ${trial.actual}`;
  if (!trial.actual) return `${trial.expected}, –`;
  return [`${trial.expected}, ${trial.actual}`, h("span", { class: "under" }, trial.expected === trial.actual ? "foreseen" : "not foreseen")];
}

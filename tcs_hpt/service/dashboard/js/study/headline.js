// What is tuned, in one sentence, and how far it is.

import { h, put } from "../dom.js";
import { count, duration, listed, number, sentence } from "../format.js";
import { badge, progressBar } from "../parts/badge.js";
import { link } from "../router.js";
import { STATES, aim, better } from "../words.js";

const NAMED = 4;

/** One plain sentence about a study. */
export function plainly(detail) {
  const names = detail.params.map((p) => p.name);
  const which = names.length > NAMED ? `${names.slice(0, NAMED).join(", ")} and ${names.length - NAMED} more` : listed(names);
  const target = has(detail.target) ? ` (target ${number(detail.target)})` : "";
  return `Looks for values of ${which} that make the ${detail.metric} of “${detail.title}” ${aim(detail.direction)}${target}, in up to ${count(detail.trials_total, "trial")}.`;
}

function has(value) {
  return value !== null && value !== undefined;
}

/** The top of the page: sentence, state and figures. */
export function headline() {
  const element = h("div", { class: "headline" });
  const update = (detail) => put(element,
    h("p", { class: "lead" }, plainly(detail)),
    detail.description ? h("p", { class: "muted" }, `“${detail.description}”`) : null,
    h("p", { class: "row" }, badge(detail.state), h("span", { class: "muted" }, why(detail))),
    h("dl", { class: "figures" }, best(detail), against(detail), target(detail), trials(detail), foresight(detail), time(detail)));
  return { element, update };
}

function why(detail) {
  // What the records say of a pause or a stop is meant for a terminal.
  if (["finished", "failed"].includes(detail.state) && detail.message) return sentence(detail.message);
  const where = detail.worker ? ` On ${detail.device && detail.device !== "cpu" ? `device ${detail.device}` : "the processor"}.` : "";
  return (STATES[detail.state]?.[1] ?? "") + where;
}

function figure(name, value, note) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, h("span", { class: "big numbers" }, value), note ? h("span", { class: "under" }, note) : null));
}

function best(d) {
  if (!has(d.best)) return figure(`Best ${d.metric}`, "–", d.failures ? "no trial has a score yet" : "the first trial is not done");
  return figure(`Best ${d.metric}`, number(d.best), ["in ", h("a", { href: link("studies", d.name, "trials", d.best_trial) }, `trial ${d.best_trial}`)]);
}

function against(d) {
  if (!has(d.start_value)) return null;
  const gain = has(d.best) ? d.best - d.start_value : 0;
  const note = !gain ? "not beaten yet" : `${number(Math.abs(gain), 3)} ${better(d.direction, d.best, d.start_value) ? "better" : "worse"} now`;
  return figure("At the start", number(d.start_value), note);
}

function target(d) {
  if (!has(d.target)) return null;
  const reached = has(d.best) && !better(d.direction, d.target, d.best);
  const missing = has(d.best) ? `${number(Math.abs(d.target - d.best), 3)} to go` : null;
  return figure("Target", number(d.target), reached ? "reached" : missing);
}

function trials(d) {
  return figure("Trials", progressBar(d.trials_done, d.trials_total), d.failures ? h("span", { class: "bad" }, `${d.failures} failed`) : null);
}

function foresight(d) {
  if (!d.prediction?.judged) return null;
  return figure("Foreseen", `${d.prediction.right} of ${d.prediction.judged}`, "outcomes that the analysis said beforehand");
}

function time(d) {
  if (!d.seconds || d.seconds.training + d.seconds.thinking < 0.05) return null;
  return figure("Time", duration(d.seconds.training), `training, and ${duration(d.seconds.thinking)} choosing`);
}

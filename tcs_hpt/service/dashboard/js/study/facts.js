// How a study was set up, for those who want to know exactly.

import { get } from "../api.js";
import { h, put } from "../dom.js";
import { number, scalar, sentence } from "../format.js";
import { when } from "../parts/times.js";
import { STARTS } from "../words.js";

let methods = null;

async function methodWords(name) {
  methods ??= get("info").then((info) => new Map(info.methods.map((m) => [m.name, m.what]))).catch(() => { methods = null; return new Map(); });
  const known = await methods;
  return known.get(name) ?? known.get(name.split(":")[0]) ?? "";
}

/** The folded settings. */
export function facts() {
  const list = h("dl", { class: "facts" });
  const what = h("span", { class: "under" });
  const element = h("details", { class: "panel" }, h("summary", {}, "Settings and best values"), list);
  let key = "";
  const update = (d) => {
    const newKey = JSON.stringify([d.best_config, d.best_test, d.state, d.worker, d.model]);
    if (newKey === key) return;
    key = newKey;
    methodWords(d.method).then((words) => (what.textContent = sentence(words)));
    put(list,
      pair("Best values", d.best_config ? assignments(d.best_config) : null),
      pair("Kept fixed", Object.keys(d.fixed).length ? assignments(d.fixed) : null),
      pair("On test data", d.best_test && Object.keys(d.best_test).length ? assignments(d.best_test, number) : null),
      pair("Task", [d.task, d.profile ? h("span", { class: "under" }, `profile ${d.profile}`) : null]),
      pair("Method", [d.method, what]),
      pair("Language model", d.model ? [d.model, h("span", { class: "under" }, d.model_reason)] : null),
      pair("First values", [d.start, h("span", { class: "under" }, STARTS[d.start])]),
      pair("Seed", String(d.seed)),
      pair("Started", when(d.created_at)),
      pair("Worker", d.worker ? [d.worker, d.device ? ` on ${d.device}` : ""] : null));
  };
  return { element, update };
}

function pair(name, value) {
  return value === null || value === undefined ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

/** `lr = 0.01` as a list that wraps. */
export function assignments(config, show = scalar) {
  return h("span", { class: "assignments" }, Object.entries(config).map(([name, value]) => h("code", {}, `${name} = ${show(value)}`)));
}

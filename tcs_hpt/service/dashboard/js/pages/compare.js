// Two to five studies of one task, side by side.

import { get } from "../api.js";
import { overlay } from "../charts/overlay.js";
import { h, put } from "../dom.js";
import { duration, number } from "../format.js";
import { badge } from "../parts/badge.js";
import { problemNote } from "../parts/problem.js";
import { table } from "../parts/table.js";
import { link } from "../router.js";
import { better } from "../words.js";

const MOST = 5;
const LISTED = 200;

/** The page; `?studies=a,b` chooses. */
export async function compare(place, { query, signal }) {
  const { items } = await get("studies", { limit: LISTED }, signal);
  const known = new Map(items.map((item) => [item.name, item]));
  const chosen = (query.get("studies") ?? "").split(",").filter((name) => known.has(name)).slice(0, MOST);
  const picker = h("fieldset", { class: "choice picker" });
  const result = h("div", { "aria-live": "polite" });
  const task = h("select", { id: "compare-task", onchange: () => { chosen.length = 0; pick(); show(); } });
  const tasks = [...new Set(items.map((item) => item.task))];
  put(task, tasks.map((name) => h("option", { value: name }, name)));
  task.value = (known.get(chosen[0]) ?? items[0])?.task ?? "";

  function pick() {
    const fitting = items.filter((item) => item.task === task.value);
    put(picker, h("legend", {}, `Studies, two to ${MOST}`), fitting.map((item) => {
      const id = `pick-${item.name}`;
      const checked = chosen.includes(item.name);
      const box = h("input", { type: "checkbox", id, checked, disabled: !checked && chosen.length >= MOST, onchange: () => toggle(item.name, box.checked) });
      return h("p", {}, box, h("label", { for: id }, item.name, h("span", { class: "under" }, [item.method, item.model].filter(Boolean).join(", "), `, best ${number(item.best)}`)));
    }));
  }

  function toggle(name, on) {
    if (on) chosen.push(name);
    else chosen.splice(chosen.indexOf(name), 1);
    history.replaceState(null, "", `#/compare${chosen.length ? `?studies=${chosen.map(encodeURIComponent).join(",")}` : ""}`);
    for (const box of picker.querySelectorAll("input")) box.disabled = !box.checked && chosen.length >= MOST;
    show();
  }

  let asked = 0;
  async function show() {
    asked += 1;
    const mine = asked;
    if (chosen.length < 2) {
      put(result, h("p", { class: "muted" }, items.length < 2 ? "It takes two studies of the same task to compare." : "Choose at least two studies."));
      return;
    }
    try {
      const answer = await get("comparisons", { studies: chosen.join(",") }, signal);
      if (mine === asked) put(result, compared(answer));
    } catch (error) {
      if (!signal.aborted && mine === asked) put(result, problemNote(error));
    }
  }

  put(place, h("h1", {}, "Compare studies"),
    h("p", { class: "lead" }, "The best score after each trial, of studies that tune the same task."),
    items.length ? h("div", { class: "field" }, h("label", { for: "compare-task" }, "Task"), task) : null,
    items.length ? picker : null, result);
  pick();
  await show();
  return "Compare";
}

function compared(answer) {
  const rows = answer.studies;
  const chart = overlay({
    series: rows.map((r) => ({ name: r.name, best: r.progress.best })), metric: answer.metric, target: answer.target,
  });
  const scored = rows.filter((r) => r.best !== null);
  const winner = scored.reduce((best, r) => (best === null || better(answer.direction, r.best, best.best) ? r : best), null);
  return [chart.element, table({
    caption: "The studies side by side",
    rows,
    attributes: (r) => ({ class: r === winner ? "best" : null }),
    columns: [
      { title: "Study", kind: "main", cell: (r) => [h("a", { href: link("studies", r.name) }, r.name), r.state ? badge(r.state) : null] },
      { title: "Method", cell: (r) => [r.method, r.model ? h("span", { class: "under" }, r.model) : null] },
      { title: `Best ${answer.metric}`, kind: "number", cell: (r) => [number(r.best), r === winner ? h("span", { class: "mark" }, "best") : null] },
      { title: "Mean of all trials", kind: "number", cell: (r) => number(r.mean) },
      { title: "Trials", kind: "number", cell: (r) => String(r.progress.numbers.length) },
      { title: "Failed", kind: "number", cell: (r) => String(r.failures) },
      { title: "Choosing", kind: "number", cell: (r) => duration(r.seconds.thinking) },
      { title: "Training", kind: "number", cell: (r) => duration(r.seconds.training) },
    ],
  }), h("p", { class: "muted" }, "One run each says little about methods: from the same start, other seeds may order them differently. ", h("code", {}, "tcs-hpt compare"), " repeats them over seeds.")];
}

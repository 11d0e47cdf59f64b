// Every study at a glance, live.

import { get } from "../api.js";
import { spark } from "../charts/spark.js";
import { connection } from "../connection.js";
import { announce, h, put } from "../dom.js";
import { follow } from "../events.js";
import { number } from "../format.js";
import { badge, progressBar } from "../parts/badge.js";
import { problemNote } from "../parts/problem.js";
import { table } from "../parts/table.js";
import { when } from "../parts/times.js";
import { link } from "../router.js";
import { STATES, better } from "../words.js";

const PAGE = 50;
const REDRAW = 400;

/** The list page. */
export async function studies(place, { query, signal }) {
  const filter = { q: query.get("q") ?? "", state: query.get("state") ?? "" };
  let items = new Map();
  let next = null;
  let asked = 0;

  const list = h("div", { id: "list" });
  const more = h("button", { type: "button", hidden: true, onclick: () => load(next).catch((error) => list.after(problemNote(error))) }, "Show older studies");
  const search = h("input", { type: "search", id: "q", value: filter.q, placeholder: "name, task, method or model", oninput: later(() => change({ q: search.value.trim() }), 250) });
  const state = h("select", { id: "state", value: filter.state, onchange: () => change({ state: state.value }) },
    h("option", { value: "" }, "any state"), Object.entries(STATES).map(([name, [word]]) => h("option", { value: name }, word)));

  put(place,
    h("div", { class: "heading" }, h("h1", {}, "Studies"), h("a", { class: "button primary", href: "#/new" }, "Start a study")),
    h("form", { class: "row filters", role: "search", onsubmit: (event) => event.preventDefault() },
      h("div", { class: "field" }, h("label", { for: "q" }, "Search"), search),
      h("div", { class: "field" }, h("label", { for: "state" }, "State"), state)),
    list, h("p", {}, more));

  function change(part) {
    Object.assign(filter, part);
    const kept = new URLSearchParams(Object.entries(filter).filter(([, v]) => v));
    // Kept in the address for the way back, without loading the page again.
    history.replaceState(null, "", `#/${kept.size ? `?${kept}` : ""}`);
    load().catch((error) => put(list, problemNote(error)));
  }

  async function load(after = null) {
    asked += 1;
    const mine = asked;
    const page = await get("studies", { ...filter, limit: PAGE, after }, signal);
    if (mine !== asked) return; // an older answer came late
    if (!after) items = new Map();
    for (const item of page.items) items.set(item.name, item);
    next = page.next;
    draw();
  }

  function draw() {
    const focused = document.activeElement?.closest("tr")?.dataset.name;
    more.hidden = !next;
    if (!items.size) put(list, filter.q || filter.state ? nothingFound() : firstStep());
    else put(list, listTable([...items.values()]));
    if (focused) list.querySelector(`tr[data-name="${CSS.escape(focused)}"] a`)?.focus();
  }

  const soon = later(draw, REDRAW);
  function changed({ study, summary }) {
    const before = items.get(study);
    if (!summary) items.delete(study);
    else if (before) items.set(study, summary);
    else if (matches(summary, filter)) items = new Map([[study, summary], ...items]);
    if (before && summary && before.state !== summary.state) announce(`${study} is now ${STATES[summary.state]?.[0] ?? summary.state}.`);
    soon();
  }

  await load();
  let opened = false;
  follow("events", {
    signal,
    onEvent: ({ value }) => changed(value),
    onState: (found) => {
      connection(found);
      if (found === "open" && opened) load().catch(() => {}); // what changed while nobody listened; the stream reports a lost service
      opened ||= found === "open";
    },
  }).catch((error) => place.append(problemNote(error)));
  return "Studies";
}

function matches(summary, { q, state }) {
  const text = [summary.name, summary.task, summary.title, summary.method, summary.model].join(" ").toLowerCase();
  return (!state || summary.state === state) && text.includes(q.toLowerCase());
}

function later(action, milliseconds) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds);
  };
}

function listTable(rows) {
  return table({
    caption: "Studies, newest first",
    attributes: (row) => ({ "data-name": row.name }),
    rows,
    columns: [
      { title: "Study", kind: "main", cell: (r) => [h("a", { href: link("studies", r.name) }, r.name), h("span", { class: "under" }, r.title)] },
      { title: "State", cell: (r) => [badge(r.state), r.message && r.state === "failed" ? h("span", { class: "under bad" }, r.message) : null] },
      { title: "Method", cell: (r) => [r.method, r.model ? h("span", { class: "under" }, r.model) : null] },
      { title: "Best", kind: "number", cell: best },
      { title: "Trials", cell: (r) => [progressBar(r.trials_done, r.trials_total), spark(r.trend),
        r.failures ? h("span", { class: "under bad" }, `${r.failures} failed`) : null] },
      { title: "Changed", cell: (r) => when(r.updated_at ?? r.created_at) },
    ],
  });
}

function best(row) {
  const target = row.target === null || row.target === undefined ? null : row.target;
  const reached = target !== null && row.best !== null && !better(row.direction, target, row.best);
  return [
    h("strong", {}, number(row.best)),
    h("span", { class: "under" }, row.metric, target === null ? "" : reached ? `, target ${number(target)} reached` : `, target ${number(target)}`),
  ];
}

function nothingFound() {
  return h("p", { class: "panel" }, "No study fits this search. Take some of it back to see more.");
}

function firstStep() {
  return h("section", { class: "panel empty" },
    h("h2", {}, "No studies yet"),
    h("p", {}, "A study tunes the settings of one training script: it tries about ten configurations, learns from each, and explains every step."),
    h("p", {}, "The first one takes a minute and needs no language model: choose the task ", h("code", {}, "mlp_digits"), " and the method ", h("code", {}, "expert"), "."),
    h("p", { class: "row" }, h("a", { class: "button primary", href: "#/new?task=mlp_digits&method=expert" }, "Start the first study")),
    h("p", { class: "muted" }, "Studies that were made in a terminal with the same store appear here as well."));
}

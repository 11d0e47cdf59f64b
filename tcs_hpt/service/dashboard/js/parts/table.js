// Tables that are tables to a screen reader, also when a narrow window shows their rows as blocks.

import { h } from "../dom.js";

/**
 * A table. Each column is {title, cell: (row) => child or children, kind: "number"|"main"|undefined}.
 *
 * The roles are written out, as `display: block` on a row would take them away.
 */
export function table({ caption, columns, rows, attributes = () => ({}), flow = true }) {
  return h("table", { role: "table", class: flow ? "flow" : null },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((c) =>
      h("th", { role: "columnheader", scope: "col", class: c.kind }, c.title)))),
    h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row", ...attributes(row) }, columns.map((c) =>
      h(c.kind === "main" ? "th" : "td", {
        role: c.kind === "main" ? "rowheader" : "cell", scope: c.kind === "main" ? "row" : null, class: c.kind,
        "data-label": c.title,
      }, c.cell(row)))))));
}

/** A table that may be wider than the window: it scrolls in a box of its own, which the keyboard reaches. */
function scrolling(inner, label) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, inner);
}

/** A table behind a fold, built when it is opened: the text alternative of a chart. */
export function folded(summary, make) {
  let built = false;
  const details = h("details", { class: "data" }, h("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (!details.open || built) return;
    built = true;
    details.append(scrolling(make(), summary));
  });
  return details;
}

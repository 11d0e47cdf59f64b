// Which parameters are tuned, and what the others are fixed at.

import { h, put } from "../dom.js";
import { scalar, sentence } from "../format.js";
import { table } from "../parts/table.js";
import { range } from "../words.js";

/** The table; `show(params)` for another task, `fixed()` for the values, `fields()` for their errors. */
export function parameterTable() {
  const element = h("div", { "data-field": "fix" });
  let rows = [];
  const show = (params) => {
    rows = params.map(row);
    put(element, table({
      caption: "Parameters of the task",
      columns: [
        { title: "Parameter", kind: "main", cell: (r) => [r.param.name, r.param.description ? h("span", { class: "under" }, r.param.description) : null] },
        { title: "Range", cell: (r) => [range(r.param, scalar), condition(r.param)] },
        { title: "Default", cell: (r) => scalar(r.param.default) },
        { title: "Tune it?", cell: (r) => r.cell },
      ],
      rows,
    }));
  };
  const fixed = () => Object.fromEntries(rows.filter((r) => !r.tuned.checked).map((r) => [r.param.name, r.value()]));
  const fields = () => rows.map((r) => ({ name: `fix.${r.param.name}`, fail: r.fail }));
  return { element, show, fixed, fields };
}

function condition(param) {
  const parts = Object.entries(param.when ?? {}).map(([name, values]) => `${name} is ${values.map(scalar).join(" or ")}`);
  return parts.length ? h("span", { class: "under" }, `only when ${parts.join(" and ")}`) : null;
}

function row(param) {
  const id = `fix-${param.name}`;
  const tuned = h("input", { type: "checkbox", id: `tune-${param.name}`, checked: true });
  const control = valueControl(param, id);
  const wrong = h("p", { class: "wrong", id: `${id}-wrong` });
  const box = h("div", { class: "stack tight", hidden: true }, h("label", { for: id }, "fixed at"), control, wrong);
  control.setAttribute("aria-describedby", wrong.id);
  tuned.addEventListener("change", () => { box.hidden = tuned.checked; });
  const value = () => (param.choices?.length ? param.choices[control.selectedIndex] : control.value === "" ? param.default : Number(control.value));
  const fail = (text) => put(wrong, text ? sentence(text) : null);
  const cell = [h("span", { class: "tick" }, tuned, h("label", { for: tuned.id }, "tune", h("span", { class: "unseen" }, ` ${param.name}`))), box];
  return { param, tuned, value, fail, cell };
}

function valueControl(param, id) {
  if (param.choices?.length) {
    return h("select", { id, value: String(param.default ?? param.choices[0]) }, param.choices.map((c) => h("option", { value: String(c) }, String(c))));
  }
  return h("input", { type: "number", id, value: param.default ?? param.low, min: param.low, max: param.high, step: "any", inputmode: "decimal" });
}

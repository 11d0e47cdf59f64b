// Fields of a form that explain themselves and show what is wrong beside them.

import { h, put } from "../dom.js";
import { sentence } from "../format.js";

/**
 * A labelled field. `field` is the name in the request's body, by which errors find it.
 *
 * Returns {element, fail(text)}.
 */
export function field({ field: name, label, help, control }) {
  const id = control.id;
  const wrong = h("p", { class: "wrong", id: `${id}-wrong` });
  const explained = h("p", { class: "help", id: `${id}-help` }, help ?? null);
  control.setAttribute("aria-describedby", `${id}-help ${id}-wrong`);
  const element = h("div", { class: "field", "data-field": name }, h("label", { for: id }, label), control, explained, wrong);
  const fail = (text) => {
    put(wrong, text ? sentence(text) : null);
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  };
  return { name, element, fail, control, explain: (...content) => put(explained, content) };
}

/** A number field; `value()` is null while it is empty. */
export function numberInput(id, { value = "", min = null, max = null, step = 1, placeholder = null } = {}) {
  return h("input", { type: "number", id, value, min, max, step, placeholder, inputmode: "decimal" });
}

/** Choices with their explanations: {value: text}. */
export function select(id, options, value) {
  return h("select", { id, value }, Object.keys(options).map((name) => h("option", { value: name }, name)));
}

/** A tick with its words. */
export function tick({ field: name, id, label, help, checked = false }) {
  const control = h("input", { type: "checkbox", id, checked, "aria-describedby": `${id}-help` });
  const element = h("div", { class: "field tick", "data-field": name }, control, h("label", { for: id }, label), h("p", { class: "help", id: `${id}-help` }, help));
  return { name, element, control, fail: () => {} };
}

/** What a field holds: a number, a text or null. */
export function read(control) {
  if (control.type === "checkbox") return control.checked;
  if (control.type === "number") return control.value === "" ? null : Number(control.value);
  return control.value.trim() || null;
}

/**
 * Put the API's errors beside their fields; returns those that belong to none.
 *
 * A place is `body.fix.lr` or a pointer `/fix/lr`; the longest field name that begins it gets the message.
 */
export function showErrors(fields, errors) {
  for (const one of fields) one.fail("");
  const left = [];
  for (const error of errors) {
    const place = (error.place ?? error.pointer ?? "").replace(/^body\.|^#?\//, "").replaceAll("/", ".");
    const fitting = fields.filter((f) => place === f.name || place.startsWith(`${f.name}.`));
    fitting.sort((a, b) => b.name.length - a.name.length);
    const text = [error.message ?? error.detail, error.fix].filter(Boolean).map(sentence).join(" ");
    if (fitting.length) fitting[0].fail(text);
    else left.push(place ? `${place}: ${text}` : text);
  }
  return left;
}

// Elements. Text goes in as text nodes only, so whatever a script, a model or a file wrote is shown and never run.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: attributes by name, `on...` for listeners; null and false leave an attribute or a child out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  add(node, children); // first: the value of a select names one of its options
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  return node;
}

/** Append children, leaving out null, undefined and false. */
export function add(node, ...children) {
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

/** Put these children in place of the old ones. */
export function put(node, ...children) {
  node.replaceChildren();
  return add(node, children);
}

/** Change a text only when it differs, so that nothing is announced twice and selections survive. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Tell a screen reader something that is visible to others. */
export function announce(text) {
  setText(document.getElementById("announce"), text);
}

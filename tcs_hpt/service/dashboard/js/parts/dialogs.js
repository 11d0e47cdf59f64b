// Questions that must be answered first.

import { h } from "../dom.js";

/** Ask before something that cannot be taken back; true when the person says yes. */
export function confirmed({ title, text, yes }) {
  return shown((close) => [
    h("h2", { id: "dialog-title" }, title),
    h("p", {}, text),
    h("div", { class: "row end" },
      h("button", { type: "button", autofocus: true, onclick: () => close("") }, "Cancel"),
      h("button", { type: "button", class: "danger", onclick: () => close("yes") }, yes)),
  ]).then((answer) => answer === "yes");
}

/** Ask for the token; "" when the person gives up. */
export function askToken(refused) {
  return shown((close) => {
    const field = h("input", { type: "password", id: "token", autocomplete: "off", required: true, autofocus: true });
    return h("form", { class: "stack", onsubmit: (event) => { event.preventDefault(); close(field.value.trim()); } },
      h("h2", { id: "dialog-title" }, "Token needed"),
      h("p", {}, "This service answers only to those who know its token: what ", h("code", {}, "TCS_HPT_TOKEN"),
        " or ", h("code", {}, "--token-file"), " held when it was started. It is kept until this tab is closed."),
      refused ? h("p", { class: "note bad", role: "alert" }, "The service refused that token.") : null,
      h("label", { for: "token" }, "Token"), field,
      h("div", { class: "row end" },
        h("button", { type: "button", onclick: () => close("") }, "Cancel"),
        h("button", { type: "submit", class: "primary" }, "Go on")));
  });
}

function shown(content) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" });
    dialog.append(...[content((answer) => dialog.close(answer))].flat());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

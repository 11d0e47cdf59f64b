// Light, dark, or as the system has it; theme-first.js applies the stored choice before the first paint.

import { setText } from "./dom.js";

const KEY = "tcs-hpt-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };

function chosen() {
  return document.documentElement.dataset.theme ?? "system";
}

function show(button) {
  setText(button, `Theme: ${chosen()}`);
  button.setAttribute("aria-label", `Theme: ${chosen()}. Change to ${NEXT[chosen()]}.`);
}

/** Let a button change the theme. */
export function themeButton(button) {
  show(button);
  button.addEventListener("click", () => {
    const next = NEXT[chosen()];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      // Storage may be switched off; the choice then lasts until the page is closed.
    }
    show(button);
  });
}

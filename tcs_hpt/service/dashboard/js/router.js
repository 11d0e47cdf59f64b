// Which page an address shows. Addresses are hashes, so one static file serves them all.

import { h, put } from "./dom.js";
import { problemPanel } from "./parts/problem.js";

let leave = null;
let first = true;

/** The address of a page, with each part escaped. */
export function link(...parts) {
  return `#/${parts.map((p) => encodeURIComponent(p)).join("/")}`;
}

/** Go to another page. */
export function go(hash) {
  location.hash = hash;
}

function parsed() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

// An address that somebody typed may hold a lone %; as it stands it names no page, and the page for that says so.
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * Show pages in `outlet` from now on.
 *
 * A page is `async (place, {parts, query, signal}) => title`: it fills `place`, and what it started ends with `signal`.
 */
export function start(outlet, choose) {
  const show = async () => {
    if (location.hash && !location.hash.startsWith("#/")) return; // an anchor on the page, not a page
    leave?.abort();
    const leaving = new AbortController();
    leave = leaving;
    const place = h("div", { class: "page" }, h("p", { class: "loading" }, "Loading …"));
    put(outlet, place);
    try {
      const { parts, query } = parsed();
      mark(parts);
      const title = await choose(parts)(place, { parts, query, signal: leaving.signal });
      if (leaving.signal.aborted) return;
      document.title = title ? `${title} · tcs-hpt` : "tcs-hpt";
      focusHeading(place);
    } catch (error) {
      if (leaving.signal.aborted) return;
      put(place, problemPanel(error, show));
      focusHeading(place);
    }
  };
  window.addEventListener("hashchange", show);
  return show();
}

function mark(parts) {
  const here = parts[0] === "new" || parts[0] === "compare" ? `#/${parts[0]}` : "#/";
  for (const anchor of document.querySelectorAll(".top nav a")) {
    if (anchor.getAttribute("href") === here) anchor.setAttribute("aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
}

// A new page starts at its heading, for eyes and for screen readers; the first one leaves the focus where the browser puts it.
function focusHeading(place) {
  if (!first) {
    const heading = place.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  first = false;
}

// An address that is no page.

import { h, put } from "../dom.js";

/** Says so, and where to go on. */
export async function lost(place) {
  put(place, h("h1", {}, "No such page"), h("p", {}, "Go on with ", h("a", { href: "#/" }, "the studies"), "."));
  return "No such page";
}

// One trial, told from beginning to end.

import { get, studyPath } from "../api.js";
import { curves } from "../charts/curves.js";
import { connection } from "../connection.js";
import { h, put } from "../dom.js";
import { follow } from "../events.js";
import { duration, number } from "../format.js";
import { trialBadge } from "../parts/badge.js";
import { problemNote } from "../parts/problem.js";
import { link } from "../router.js";
import { choosing } from "../story/choosing.js";
import { prompts } from "../story/prompts.js";
import { outcome, training } from "../story/training.js";
import { LIVE_STATES } from "../words.js";

const CALM = 500;

/** The story of a trial. */
export async function trial(place, { parts, signal }) {
  const [, name, , text] = parts;
  const at = Number(text);
  const load = async () => {
    const [detail, story, progress] = await Promise.all([
      get(studyPath(name), {}, signal), get(studyPath(name, `/trials/${at}`), {}, signal), get(studyPath(name, "/progress"), {}, signal),
    ]);
    return { detail, story, progress, base: await baseOf(name, story, signal) };
  };
  let known = await load();
  const draw = page(place, name, known);
  if (LIVE_STATES.has(known.detail.state) && known.story.state === "running") watch();
  return `Trial ${at} of ${name}`;

  function watch() {
    const until = new AbortController();
    signal.addEventListener("abort", () => until.abort());
    let timer = 0;
    const refresh = async () => {
      timer = 0;
      try {
        known = await load();
      } catch {
        return; // the stream reports a lost service, and brings the next event
      }
      if (signal.aborted) return;
      draw(known);
      if (known.story.state !== "running") until.abort();
    };
    follow(studyPath(name, "/events"), {
      signal: until.signal,
      after: known.detail.last_event,
      wanted: async () => {
        const { state } = await get(studyPath(name), {}, signal);
        if (!LIVE_STATES.has(state)) await refresh(); // it ended while nobody listened
        return LIVE_STATES.has(state);
      },
      onEvent: ({ value }) => {
        const event = value.event ?? value;
        const its = event.number ?? event.trial?.number;
        if (its === at || event.kind === "study_ended") timer ||= setTimeout(refresh, CALM);
      },
      onState: connection,
    }).catch((error) => place.append(problemNote(error)));
  }
}

async function baseOf(name, story, signal) {
  if (story.base_trial === null) return null;
  const found = await get(studyPath(name, "/trials"), { after: story.base_trial - 1, limit: 1 }, signal);
  return found.items.find((t) => t.number === story.base_trial) ?? null;
}

/** Builds the page; the returned function redraws what changes while the trial runs, and leaves the rest to the reader. */
function page(place, name, known) {
  const { detail, story, progress } = known;
  const index = progress.numbers.indexOf(story.number);
  const neighbour = (by, words) => {
    const n = progress.numbers[index + by];
    return n === undefined || index < 0 ? null : h("a", { class: "button", href: link("studies", name, "trials", n) }, words);
  };
  const lead = h("p", { class: "lead" });
  const standing = h("p", { class: "row" });
  const told = h("ol", { class: "story" }, choosing(known));
  const drawn = curves({ metric: detail.metric, target: detail.target });
  let tail = [];
  const draw = (now) => {
    put(lead, inShort(now.detail, now.story));
    put(standing, trialBadge(now.story.state), now.story.is_best ? h("span", { class: "mark" }, "best of the study") : null,
      now.story.state === "running" ? null
        : h("span", { class: "muted numbers" }, `${duration(now.story.thinking_seconds)} choosing, ${duration(now.story.seconds)} training`));
    for (const part of tail) part.remove();
    tail = [training({ ...now, drawn }), outcome({ ...now, name })];
    told.append(...tail);
  };
  draw(known);
  put(place,
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Studies"), " / ", h("a", { href: link("studies", name) }, name)),
    h("div", { class: "heading" }, h("h1", {}, `Trial ${story.number}`),
      h("nav", { class: "row", "aria-label": "Other trials" }, neighbour(-1, "Previous trial"), neighbour(1, "Next trial"))),
    lead, standing, told, prompts(name, story));
  return draw;
}

function inShort(detail, story) {
  const what = story.change ? `Tried ${story.change}` : story.base_trial === null ? "Tried the first values" : "Tried other values";
  if (story.state === "running") return `${what}. It is training now.`;
  if (story.failure) return `${what}. ${story.failure.message}`;
  const value = `${detail.metric} ${number(story.value)}`;
  return story.is_best ? `${what} and reached ${value}, the best of the study.` : `${what} and reached ${value}.`;
}

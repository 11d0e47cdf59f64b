// What the system's terms mean, for somebody who has never seen it.

export const STATES = {
  queued: ["waiting", "It waits for a worker and starts when one is free."],
  running: ["running", "A worker runs it now."],
  paused: ["paused", "A person paused it. Resume goes on where it was."],
  stopped: ["stopped", "A person ended it early. What was measured stays."],
  finished: ["finished", "It ended by its own rules."],
  failed: ["failed", "It could not go on."],
  external: ["external", "Its trials run somewhere else; configurations are asked for and results told over HTTP."],
  idle: ["idle", "It was started in a terminal, and nobody runs it at the moment."],
};

export const LIVE_STATES = new Set(["queued", "running", "external"]);

export const STARTS = {
  defaults: "Trial 1 runs the task's own default values.",
  knowledge: "Trial 1 runs values that are sensible for parameters with these names.",
  cold: "Nothing is given: the method chooses trial 1 itself.",
};

export const ANSWERS = {
  choice: "The agents choose from a short list of changes. Right for small models.",
  free: "The agents write their own values. For strong models.",
};

export const PRUNE = {
  none: "Every trial runs to its end.",
  diagnosis: "A trial that diverged, or can hardly win any more, is asked to stop.",
  median: "A trial below the median of the earlier ones at the same epoch is asked to stop.",
  hyperband: "Trials get more epochs in rounds; the weaker ones are asked to stop.",
};

export const KEEP = {
  best: "Files of the best trial are kept, e.g. its checkpoint.",
  all: "Files of every trial are kept.",
  none: "No files are kept.",
};

const SOURCES = {
  start: "the start rule",
  agents: "the two agents",
  expert: "the expert (no language model)",
  coin: "a coin",
  external: "the caller",
};

/** Who chose a configuration, in words. */
export function source(name) {
  return SOURCES[name] ?? name;
}

export const FAILURES = {
  invalid: "The script refused these values.",
  crashed: "The script crashed.",
  out_of_memory: "The script ran out of memory.",
  timeout: "The script took longer than it may.",
  diverged: "The score was not a finite number.",
  no_metric: "The script ended without reporting the score.",
  interrupted: "It was ended before it was done, and its values are tried again.",
};

const ROLES = {
  analysis: "The analysis agent reads the state report",
  optimizer: "The optimizer agent decides on one change",
  bootstrap: "The analysis agent looks at the task before the first trial",
  cold_start: "The optimizer agent chooses the first values",
};

/** What a language model is doing at the moment. */
export function thinking(role, attempt) {
  const what = ROLES[role] ?? "A language model is asked";
  return attempt > 1 ? `${what}, once more, as its first answer could not be used` : what;
}

/** `as high as possible` or `as low as possible`. */
export function aim(direction) {
  return direction === "minimize" ? "as low as possible" : "as high as possible";
}

/** Whether a score is better than another. */
export function better(direction, value, other) {
  return direction === "minimize" ? value < other : value > other;
}

/** A range in words: `0.0001 to 1, log scale`, `adam or sgd`. */
export function range(param, scalar) {
  if (param.choices?.length) return param.choices.map(scalar).join(" or ");
  const step = param.step ? `, in steps of ${scalar(param.step)}` : "";
  return `${scalar(param.low)} to ${scalar(param.high)}${param.log ? ", log scale" : ""}${step}`;
}

// What the page of a study knows, kept true by the study's events.

import { get, studyPath } from "../api.js";
import { LIVE_STATES } from "../words.js";

const CALM = 300; // so that a burst of events costs one request
const RECENT = 40;

/** One study. `load()` first; then `apply` events; `onChange` is called after every change. */
export class StudyModel {
  constructor(name, signal, onChange) {
    this.name = name;
    this.signal = signal;
    this.onChange = onChange;
    this.detail = null;
    this.progress = { numbers: [], values: [], best: [], states: [], params: {} };
    /** Trials in the making by number: {number, phase, role, attempt, proposal, curve, note}. */
    this.running = new Map();
    this.timer = 0;
    this.loading = null;
    this.again = false;
    this.quiet = false;
  }

  /** Ask nothing more of the service, which is about to forget the study; returns when the last answer is there. */
  async hush() {
    this.quiet = true;
    await this.loading?.catch(() => {});
  }

  /** Whether events may come. */
  get live() {
    return LIVE_STATES.has(this.detail.state) || (this.detail.external && this.detail.state === "paused"); // results are still told
  }

  /** Everything there is, and what the running trials have done until now. */
  async load() {
    await this.fetch();
    this.last = this.detail.last_event ?? 0;
    if (this.live) await this.catchUp();
  }

  async catchUp() {
    const page = await get(studyPath(this.name, "/events.json"), { after: Math.max(0, this.last - RECENT), limit: RECENT }, this.signal);
    for (const item of page.items) {
      if (item.seq <= this.last) this.reduce(item.event);
    }
    const inTraining = this.progress.numbers.filter((_, i) => this.progress.states[i] === "running").slice(-4);
    for (const number of inTraining) {
      const story = await get(studyPath(this.name, `/trials/${number}`), {}, this.signal);
      const one = this.one(number);
      one.phase = "training";
      one.proposal ??= { change: story.change, source: story.source, reason: story.reason };
      one.curve = [...story.curve]; // the recent events may have begun in the middle of it
    }
  }

  /** Ask the service again; several wishes at once cost one request. */
  refresh() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refreshNow().catch(() => {}), CALM); // a lost service is the stream's to report
  }

  async refreshNow() {
    if (this.quiet) return;
    if (this.loading) {
      this.again = true;
      return this.loading;
    }
    this.loading = this.fetch().finally(() => (this.loading = null));
    await this.loading;
    if (this.again) {
      this.again = false;
      this.refresh();
    }
    this.onChange();
  }

  async fetch() {
    const [detail, progress] = await Promise.all([
      get(studyPath(this.name), {}, this.signal),
      get(studyPath(this.name, "/progress"), {}, this.signal),
    ]);
    this.detail = detail;
    this.progress = { params: {}, ...progress };
    if (!this.live) this.running.clear();
  }

  /** Take in one event of the stream. */
  apply(event) {
    if (this.reduce(event)) this.refresh();
    this.onChange();
  }

  one(number) {
    if (!this.running.has(number)) this.running.set(number, { number, phase: "choosing", curve: [] });
    return this.running.get(number);
  }

  /** Returns whether the stored picture changed, not only the running one. */
  reduce(event) {
    switch (event.kind) {
      case "thinking":
        Object.assign(this.one(event.number), { phase: "thinking", role: event.role, attempt: event.attempt });
        return false;
      case "analysed":
        this.one(event.number).analysis = event.analysis;
        return false;
      case "proposed":
        Object.assign(this.one(event.number), { phase: "starting", proposal: event.proposal });
        return false;
      case "trial_started":
        Object.assign(this.one(event.number), { phase: "training", curve: [] });
        return true;
      case "epoch_reported":
        this.one(event.number).phase = "training";
        keep(this.one(event.number).curve, event.epoch);
        return false;
      case "stop_asked":
        this.one(event.number).note = event.reason;
        return false;
      case "trial_ended":
        this.running.delete(event.trial.number);
        return true;
      case "study_ended":
        this.running.clear();
        return true;
      default:
        return true;
    }
  }

  /** The best trial's place in the arrays of `progress`; -1 without one. */
  get bestIndex() {
    return this.detail.best_trial === null ? -1 : this.progress.numbers.indexOf(this.detail.best_trial);
  }
}

// Epochs come in order; one that was seen before is left out.
function keep(curve, epoch) {
  if (!curve.length || epoch.epoch > curve[curve.length - 1].epoch) curve.push(epoch);
}

// Runs before the first paint, so that a chosen theme does not flash in the other one. A plain script, as modules run later.
try {
  const chosen = localStorage.getItem("tcs-hpt-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage may be switched off; then the system's theme holds.
}

import { onTokenNeeded } from "./api.js";
import { forget } from "./connection.js";
import { compare } from "./pages/compare.js";
import { lost } from "./pages/lost.js";
import { start as startForm } from "./pages/start.js";
import { studies } from "./pages/studies.js";
import { study } from "./pages/study.js";
import { trial } from "./pages/trial.js";
import { askToken } from "./parts/dialogs.js";
import { keepTimes } from "./parts/times.js";
import { start } from "./router.js";
import { themeButton } from "./theme.js";

function page(parts) {
  forget();
  if (parts.length === 0) return studies;
  if (parts.length === 1 && parts[0] === "new") return startForm;
  if (parts.length === 1 && parts[0] === "compare") return compare;
  if (parts.length === 2 && parts[0] === "studies") return study;
  if (parts.length === 4 && parts[0] === "studies" && parts[2] === "trials") return trial;
  return lost;
}

const main = document.getElementById("main");
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash belongs to the router
  main.focus();
});
themeButton(document.getElementById("theme"));
onTokenNeeded(askToken);
keepTimes();
start(main, page);

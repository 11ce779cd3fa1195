// Asks now and then whether the link still holds; once it does not, the page is asked for anew and
// refused. A server that cannot be reached says nothing about the link, so the page stays.
const ask = () =>
  fetch("?holds", { cache: "no-store", credentials: "omit" }).then(
    (answer) => answer.status === 404 && location.reload(),
    () => {},
  );
setInterval(ask, AGAIN);
document.addEventListener("visibilitychange", () => document.hidden || ask());

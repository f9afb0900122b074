"use strict";
(() => {
  const live = document.getElementById("live");
  if (!live) return;
  const every = 10000, soon = 400, again = 3000;
  let pending = 0, busy = false, more = false;
  history.replaceState(null, "", location.pathname);

  // what is new takes the place of what was there; what is open or has the focus stays so
  const put = (next) => {
    for (const id of ["verdict", "meta"]) {
      const from = next.getElementById(id), to = document.getElementById(id);
      if (to.outerHTML !== from.outerHTML) {
        to.className = from.className;
        if (to.textContent !== from.textContent) to.textContent = from.textContent;
      }
    }
    const now = next.getElementById("live");
    const open = new Set([...live.querySelectorAll("details[open]")].map((d) => d.id));
    for (const d of now.querySelectorAll("details")) if (open.has(d.id)) d.open = true;
    const at = document.activeElement, href = at && live.contains(at) ? at.getAttribute("href") || at.id : "";
    const wanted = [...now.children], there = [...live.children];
    const same = wanted.length === there.length && wanted.every((n, i) => n.id === there[i].id);
    if (!same) live.replaceChildren(...wanted);
    else wanted.forEach((n, i) => { if (n.outerHTML !== there[i].outerHTML) there[i].replaceWith(n); });
    document.title = next.title;
    if (href && !live.contains(document.activeElement)) {
      for (const a of live.querySelectorAll("a,summary")) if (a.getAttribute("href") === href) { a.focus(); break; }
    }
  };

  const refresh = async () => {
    if (busy) { more = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.pathname, {headers: {Accept: "text/html"}, cache: "no-store", signal: AbortSignal.timeout(15000)});
      if (!answer.ok) throw new Error(answer.status);
      put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      document.getElementById("lost").hidden = true;
      document.getElementById("lost-at").textContent = new Date().toLocaleTimeString();
    } catch {
      const at = document.getElementById("lost-at");
      if (!at.textContent) at.textContent = document.getElementById("meta").textContent;
      document.getElementById("lost").hidden = false;
    }
    busy = false;
    if (more) { more = false; ask(); }
  };

  const ask = () => {
    if (pending) return;
    pending = setTimeout(() => { pending = 0; refresh(); }, soon);
  };

  // the stream only says that something has happened; what, the page says
  const listen = async () => {
    try {
      const answer = await fetch(live.dataset.events, {headers: {Accept: "text/event-stream"}, cache: "no-store"});
      if (answer.ok && answer.body) {
        const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        ask();
        for (;;) {
          const {value, done} = await reader.read();
          if (done) break;
          if (value.includes("event:")) ask();
        }
      }
    } catch { /* it is tried again */ }
    ask();
    setTimeout(listen, again);
  };

  listen();
  setInterval(() => { if (!document.hidden) refresh(); }, every);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
})();

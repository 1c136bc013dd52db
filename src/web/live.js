// Keeps pages as they stand: the server draws them, and this puts what has changed in place.
"use strict";
(() => {
  const QUIET_MS = 300; // Changes within this are shown at once.
  const FOLLOWED_MS = 1500; // How often pages are drawn anew while passes run.
  const AGAIN_MS = 5000; // When a daemon that has gone is asked again.

  const steps = new Map();
  let source = null;
  let timer = null;
  let drawing = false;
  let drawAgain = false;
  let missed = false;

  function say(state, text) {
    const badge = document.getElementById("live");
    badge.hidden = false;
    badge.dataset.state = state;
    badge.textContent = text;
  }

  function showSteps() {
    for (const place of document.querySelectorAll("[data-doing]")) {
      const text = steps.get(place.dataset.doing);
      if (text !== undefined && place.textContent !== text) place.textContent = text;
    }
  }

  // What has the focus, in words that hold for the next drawing as well.
  function focused(region) {
    const at = document.activeElement;
    if (!at || at === region || !region.contains(at)) return null;
    const all = [...region.querySelectorAll(at.tagName)];
    const same = (one) => one.textContent === at.textContent && one.form?.action === at.form?.action && one.href === at.href;
    return { tag: at.tagName, same, at: all.indexOf(at) };
  }

  // The same but for what is in it; a form or a link that leads elsewhere is another one.
  function isSamePlace(one, other) {
    if (one.nodeType !== Node.ELEMENT_NODE || one.nodeName !== other.nodeName || !one.children.length) return false;
    return one.cloneNode(false).isEqualNode(other.cloneNode(false));
  }

  // What stays as it was is not touched: a button that is being pressed is still there when it is let go.
  function change(old, fresh) {
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    while (before.length && after.length && before[0].isEqualNode(after[0])) { before.shift(); after.shift(); }
    while (before.length && after.length && before.at(-1).isEqualNode(after.at(-1))) { before.pop(); after.pop(); }
    if (before.length === after.length && before.every((one, at) => isSamePlace(one, after[at]))) {
      before.forEach((one, at) => change(one, after[at]));
      return;
    }
    const next = before.length ? before.at(-1).nextSibling : old.childNodes[[...fresh.childNodes].indexOf(after[0])] ?? null;
    before.forEach((one) => one.remove());
    after.forEach((one) => old.insertBefore(document.importNode(one, true), next));
  }

  function put(region, fresh) {
    const open = [...region.querySelectorAll("details")].map((one) => one.open);
    [...fresh.querySelectorAll("details")].forEach((one, place) => { one.open = open[place] ?? one.open; });
    if (region.isEqualNode(fresh)) return;
    const at = document.activeElement;
    if (at && region.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) return; // Somebody is writing there.
    const focus = focused(region);
    change(region, fresh);
    if (focus && !region.contains(document.activeElement)) {
      const all = [...region.querySelectorAll(focus.tag)];
      (all.find(focus.same) ?? all[focus.at])?.focus({ preventScroll: true });
    }
  }

  async function draw() {
    timer = null;
    if (drawing) { drawAgain = true; return; }
    drawing = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.redirected) { location.reload(); return; } // Nobody is logged in any more.
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const region of document.querySelectorAll("[data-live]")) {
          const fresh = page.querySelector(`[data-live="${CSS.escape(region.dataset.live)}"]`);
          if (fresh) put(region, fresh);
        }
      }
    } catch { /* The daemon has gone; the source of events notices it, too. */ }
    drawing = false;
    if (drawAgain) { drawAgain = false; soon(QUIET_MS); }
  }

  function soon(delay) {
    if (timer === null && document.querySelector("[data-live]")) timer = setTimeout(draw, delay);
  }

  function listen() {
    if (source || document.hidden) return;
    source = new EventSource("/events");
    const on = (name, hear) => source.addEventListener(name, (event) => hear(event.data ? JSON.parse(event.data) : {}));
    on("hello", () => {
      say("on", "live");
      if (missed) soon(0);
      missed = false;
    });
    on("step", ({ collection, text }) => {
      steps.set(collection, text);
      showSteps();
      soon(FOLLOWED_MS);
    });
    on("ended", ({ collection }) => { steps.delete(collection); soon(QUIET_MS); });
    on("changed", () => soon(QUIET_MS));
    on("stopping", () => { leave(); say("off", "the daemon is stopping"); setTimeout(listen, AGAIN_MS); });
    source.onerror = () => {
      missed = true;
      if (source.readyState !== EventSource.CLOSED) return; // It comes again by itself.
      leave();
      say("off", "not live");
      setTimeout(listen, AGAIN_MS);
    };
  }

  function leave() {
    source?.close();
    source = null;
    missed = true;
  }

  // Browsers keep few connections to one host: pages that nobody sees hold none.
  document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); else listen(); });
  listen();
})();

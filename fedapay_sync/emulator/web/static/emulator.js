// Livelier with it, whole without it: everything here a reload or a click does as well.
"use strict";

(() => {
  const EVERY = 1000;

  const main = () => document.getElementById("main");

  async function text(address, accept) {
    const answer = await fetch(address, { headers: { Accept: accept }, cache: "no-store" });
    return answer.text();
  }

  // A page that changed while a person reads it: take its <main> anew, and say so.
  async function refresh() {
    const page = new DOMParser().parseFromString(await text(location.href, "text/html"), "text/html");
    const fresh = page.getElementById("main");
    if (!fresh) return location.reload();
    const held = document.activeElement && main().contains(document.activeElement);
    main().replaceWith(document.adoptNode(fresh));
    document.title = page.title;
    document.getElementById("news").textContent = fresh.dataset.news || "";
    // Focus went with the element that had it: on to the news.
    if (held) main().focus({ preventScroll: true });
    leave();
  }

  async function look() {
    const { live, state, awake } = main().dataset;
    // A phone's page asks also from a tab behind another: asking is what keeps the phone from answering by itself.
    if (live && (awake || !document.hidden)) {
      try {
        const found = JSON.parse(await text(live, "application/json"));
        if (main().dataset.state === state && found.state !== state) await refresh();
      } catch {
        // The emulator is being restarted, or gone: the page stays as it is.
      }
    }
    setTimeout(look, EVERY);
  }

  // A page whose work is done goes on by itself, to the address that its own button has.
  function leave() {
    const door = document.querySelector("a[data-leave-after]");
    if (door) setTimeout(() => location.assign(door.href), 1000 * Number(door.dataset.leaveAfter));
  }

  // Sent once: a second click would ask the phone twice.
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });

  leave();
  setTimeout(look, EVERY);
})();

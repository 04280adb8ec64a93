// The dashboard changes by itself and copies texts; without this a reload and a selection do as well.
"use strict";

(() => {
  const EVERY = 1000;

  const live = document.getElementById("live");
  const news = document.getElementById("news");
  let seen = live.dataset.state;

  document.documentElement.classList.add("scripted");

  async function text(address) {
    return (await fetch(address, { cache: "no-store" })).text();
  }

  const touchable = (part) => [...part.querySelectorAll("a, button, input, select, summary, [tabindex]")];

  // Focus on a button that is replaced goes to its successor, found by the row that it is in.
  function place(part) {
    const held = document.activeElement;
    if (!part.contains(held)) return () => {};
    const home = held.closest("[id]").id;
    const rank = touchable(document.getElementById(home)).indexOf(held);
    return () => {
      const fresh = document.getElementById(home);
      if (fresh) (touchable(fresh)[rank] || fresh).focus({ preventScroll: true });
    };
  }

  async function refresh() {
    const page = new DOMParser().parseFromString(await text(location.href), "text/html");
    let changed = false;
    for (const part of document.querySelectorAll("[data-part]")) {
      const fresh = page.getElementById(part.id);
      if (!fresh || fresh.innerHTML === part.innerHTML) continue;
      const back = place(part);
      part.replaceWith(document.adoptNode(fresh));
      back();
      changed = changed || part.id !== "heure";
    }
    if (changed) news.textContent = document.getElementById("main").dataset.news;
  }

  async function look() {
    if (!document.hidden) {
      try {
        const { state } = JSON.parse(await text(live.dataset.stateAt));
        if (state !== seen) {
          await refresh();
          seen = state;
        }
      } catch {
        // The emulator is being restarted, or gone: the page stays as it is.
      }
    }
    setTimeout(look, EVERY);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const from = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(from.textContent);
      button.textContent = news.textContent = "Copié";
    } catch {
      // No leave to write there: selected, it is one key away.
      getSelection().selectAllChildren(from);
      button.textContent = news.textContent = "Sélectionné : Ctrl+C";
    }
    setTimeout(() => (button.textContent = "Copier"), 2000);
  });

  setTimeout(look, EVERY);
})();

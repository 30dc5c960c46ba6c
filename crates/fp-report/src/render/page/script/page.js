"use strict";

/** An element with text, a class and attributes. */
function make(tag, text, name, attributes) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  return element;
}

/** Choosers: one of several groups is shown. */
function chooseGroups() {
  for (const select of document.querySelectorAll("select[data-choose]")) {
    const show = () => {
      for (const group of document.querySelectorAll(".group")) {
        if (group.dataset.group === select.dataset.choose) group.hidden = group.dataset.value !== select.value;
      }
    };
    select.addEventListener("change", show);
    show();
  }
}

/** Marks the link of the section that is being read. */
function followSections() {
  const links = new Map();
  for (const link of document.querySelectorAll("#links a")) links.set(link.hash.slice(1), link);
  const sections = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  const menu = document.getElementById("menu");
  let current;
  const mark = () => {
    // The last one whose top is in the upper third of the window.
    const line = innerHeight / 3;
    let found = sections[0];
    for (const section of sections) if (section.getBoundingClientRect().top <= line) found = section;
    const isAtEnd = scrollY > 0 && scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
    if (isAtEnd) found = sections[sections.length - 1];
    if (!found || found === current) return;
    if (current) links.get(current.id).removeAttribute("aria-current");
    current = found;
    const link = links.get(current.id);
    link.setAttribute("aria-current", "true");
    menu.textContent = link.textContent;
    const bar = document.getElementById("nav");
    if (bar.scrollHeight > bar.clientHeight + 1) {
      const place = link.offsetTop - bar.clientHeight / 2;
      bar.scrollTop = Math.max(place, 0);
    }
  };
  let isDue = false;
  const soon = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; mark(); });
  };
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  mark();
}

/** On narrow pages the links collapse behind a button. */
function foldMenu() {
  const nav = document.getElementById("nav"), menu = document.getElementById("menu");
  const set = (isOpen) => {
    nav.classList.toggle("folded", !isOpen);
    menu.setAttribute("aria-expanded", String(isOpen));
  };
  menu.hidden = false;
  set(false);
  menu.addEventListener("click", () => set(menu.getAttribute("aria-expanded") !== "true"));
  nav.addEventListener("click", (event) => { if (event.target.closest("#links a")) set(false); });
  nav.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || menu.getAttribute("aria-expanded") !== "true") return;
    set(false);
    menu.focus();
  });
}

/** Buttons that copy the text beside them. */
function copyTexts() {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const label = button.textContent, text = document.getElementById(button.dataset.copy);
    const select = () => getSelection().selectAllChildren(text);
    button.hidden = false;
    button.addEventListener("click", async () => {
      let isCopied = false;
      try {
        await navigator.clipboard.writeText(text.textContent);
        isCopied = true;
      } catch {
        // Without the clipboard API, as on a page opened from a disk.
        select();
        isCopied = document.execCommand("copy");
      }
      button.textContent = isCopied ? "Copied" : "Selected: press Ctrl+C";
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }
}

/** The target of a link may be inside a closed element. */
function openTargets() {
  const open = () => {
    let id;
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    for (let element = document.getElementById(id); element; element = element.parentElement) {
      if (element.tagName === "DETAILS") element.open = true;
    }
  };
  addEventListener("hashchange", open);
  open();
  // In print nothing can be opened.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
}

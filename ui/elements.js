// Elements of the page. Text is always text: nothing here or elsewhere parses markup.

// Return an element. A property that is a function listens to the event of its name, one that is
// true is an attribute without a value, and one that is false, null or undefined is left out.
// Children are elements and texts; false, null and undefined are left out.
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}

// Return a button that does one thing at a time: it is disabled until `act` is done.
export function button(text, act, properties = {}) {
  const made = element("button", { type: "button", ...properties }, text);
  made.addEventListener("click", async () => {
    made.disabled = true;
    await act();
    made.disabled = false;
  });
  return made;
}

// Return a part of a page with a heading.
export function card(title, ...children) {
  return element("section", { class: "card" }, element("h2", {}, title), ...children);
}

// Return a place for what comes of something; tell() sets its text.
export function outcome() {
  return element("p", { class: "outcome" });
}

// Show what came of something, and have screen readers read it. `kind` is "good", "bad" or nothing.
export function tell(place, text, kind = "") {
  place.className = `outcome ${kind}`;
  place.textContent = text;
  if (kind === "bad") place.setAttribute("role", "alert");
  else {
    place.removeAttribute("role");
    announce(text);
  }
}

// A text that is only now shown is not read reliably, so it is also put where nothing is hidden.
function announce(text) {
  const announcer = document.getElementById("announcer");
  announcer.textContent = "";
  if (text) setTimeout(() => (announcer.textContent = text), 50); // also if it is the same again
}

// The texts of the page, in the user's language, and times and errors in words.

import { keep, recall } from "./storage.js";

const LANGUAGES = document.documentElement.dataset.languages.split(" ");
const CHOSEN = "language";
const directories = ["languages"];
let texts = {};
let language = LANGUAGES[0];

// Load the texts of this directory, too.
export function useTexts(directory) {
  directories.push(directory);
}

// Load the texts of the language that the user has chosen, or else prefers in the browser. Fails if
// the server cannot be reached, as chooseLanguage() does.
export async function loadLanguage() {
  const preferred = [recall("browser", CHOSEN), ...navigator.languages]
    .filter(Boolean)
    .map((each) => each.split("-")[0])
    .find((each) => LANGUAGES.includes(each));
  await load(preferred ?? LANGUAGES[0]);
}

async function load(name) {
  const files = directories.map((each) => new URL(`${each}/${name}.json`, import.meta.url));
  texts = Object.assign({}, ...(await Promise.all(files.map(read))));
  language = name;
  document.documentElement.lang = name;
}

async function read(file) {
  const response = await fetch(file, { credentials: "omit" });
  if (!response.ok) throw new Error(response.statusText);
  return response.json();
}

export async function chooseLanguage(name) {
  await load(name);
  keep("browser", CHOSEN, name);
}

// Return each language with its name in that language, and whether it is in use.
export function languages() {
  return LANGUAGES.map((each) => ({
    code: each,
    name: new Intl.DisplayNames([each], { type: "language" }).of(each),
    isCurrent: each === language,
  }));
}

export function hasText(key) {
  return Object.hasOwn(texts, key);
}

// Return a text; {name} in it is replaced by the value with this name.
export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

export function timeText(time) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(time),
  );
}

export function dateText(time) {
  return new Intl.DateTimeFormat(language, { dateStyle: "long" }).format(new Date(time));
}

export function numberText(number) {
  return new Intl.NumberFormat(language).format(number);
}

// Return an error of the API in words.
export function errorText(result) {
  if (result.code === "rate_limited" && result.retryAfter) {
    const minutes = Math.ceil(result.retryAfter / 60);
    const until = new Date(Date.now() + result.retryAfter * 1000);
    const time = new Intl.DateTimeFormat(language, { timeStyle: "short" }).format(until);
    const wait = new Intl.NumberFormat(language, {
      style: "unit",
      unit: "minute",
      unitDisplay: "long",
    }).format(minutes);
    return t("error.rate_limited_until", { time, wait });
  }
  const key = `error.${result.code}`;
  return hasText(key) ? t(key) : (result.errors?.[0]?.message ?? t("error.other"));
}

// Return the error of a field in words: those of the API, or of the language. The API's words may
// have a number in them, which is {number} in those of the language.
export function fieldErrorText({ field, code, message }) {
  const number = /\d+/.exec(message)?.[0];
  for (const key of [`problem.${code}.${field}`, `problem.${code}`]) {
    if (hasText(key)) return t(key, { number });
  }
  return message;
}

// Values that the browser keeps for these pages: until the tab is closed, or longer.
// A browser may refuse to keep anything. Then they are kept until the page is closed.

const PREFIX = `latchkey:${new URL(".", import.meta.url).pathname}:`;
const stores = { tab: () => sessionStorage, browser: () => localStorage };
const inMemory = new Map();

// Return the name of a value, as the event `storage` has it.
export function keyOf(name) {
  return PREFIX + name;
}

export function recall(store, name) {
  try {
    return stores[store]().getItem(keyOf(name));
  } catch {
    return inMemory.get(`${store} ${name}`) ?? null;
  }
}

export function keep(store, name, value) {
  try {
    stores[store]().setItem(keyOf(name), value);
  } catch {
    inMemory.set(`${store} ${name}`, value);
  }
}

export function forget(store, name) {
  inMemory.delete(`${store} ${name}`);
  try {
    stores[store]().removeItem(keyOf(name));
  } catch {
    // There is nothing to remove.
  }
}

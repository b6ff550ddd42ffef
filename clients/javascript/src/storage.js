// Where an app keeps its token. Each method may return a promise.

/** Keeps the token until the page or the process ends. */
export class MemoryStorage {
  #token = null;

  get() {
    return this.#token;
  }

  set(token) {
    this.#token = token;
  }

  remove() {
    this.#token = null;
  }
}

/** Keeps the token in `localStorage`, `sessionStorage`, or React Native's AsyncStorage. */
export class ItemStorage {
  #items;
  #key;

  constructor(items, key = "latchkey.token") {
    this.#items = items;
    this.#key = key;
  }

  get() {
    return this.#items.getItem(this.#key);
  }

  set(token) {
    return this.#items.setItem(this.#key, token);
  }

  remove() {
    return this.#items.removeItem(this.#key);
  }
}

/** Keeps the token in the keychain of iOS or the keystore of Android, by `expo-secure-store`. */
export class SecureStorage {
  #store;
  #key;

  constructor(store, key = "latchkey.token") {
    this.#store = store;
    this.#key = key;
  }

  get() {
    return this.#store.getItemAsync(this.#key);
  }

  set(token) {
    return this.#store.setItemAsync(this.#key, token);
  }

  remove() {
    return this.#store.deleteItemAsync(this.#key);
  }
}

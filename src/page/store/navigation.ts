import { type Signal, signal } from "@preact/signals";

/** Where the page is: the path below the base, the query, and what follows `#`, with it. */
export interface Place {
  readonly path: string;
  readonly query: string;
  readonly hash: string;
}

/** The address bar. */
export class Navigation {
  readonly place: Signal<Place>;
  readonly base: string;

  constructor(base: string) {
    this.base = base;
    this.place = signal(this.#read());
    globalThis.addEventListener("popstate", () => {
      this.place.value = this.#read();
    });
    document.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Returns the address of a path, for links. */
  href(path: string, query = ""): string {
    return `${this.base}${path}${query}`;
  }

  /** Goes to a path. @param replace whether the back button skips the current address, as while somebody types */
  go(
    path: string,
    query = "",
    { replace = false, hash = "" }: { readonly replace?: boolean; readonly hash?: string } = {},
  ): void {
    const url = `${this.href(path, query)}${hash}`;
    if (replace) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
    const moved = this.place.peek().path !== path;
    this.place.value = { path, query, hash };
    if (!moved) return;
    scrollTo(0, 0);
    // A screen reader reads the new page from its heading on.
    requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus({ preventScroll: true }));
  }

  #read(): Place {
    const { pathname, search, hash } = location;
    return { path: pathname.slice(this.base.length) || "/", query: search, hash };
  }

  /** Follows links within the page without loading it again. */
  #clicked(event: MouseEvent): void {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || event.defaultPrevented || event.button !== 0 || link.target !== "") return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.hasAttribute("download")) return;
    const { origin, pathname, search, hash } = new URL(link.href);
    if (origin !== location.origin || !pathname.startsWith(`${this.base}/`)) return;
    // Within a page the browser goes there itself, and moves the focus.
    if (hash !== "" && pathname === location.pathname && search === location.search) return;
    event.preventDefault();
    this.go(pathname.slice(this.base.length), search, { hash });
  }
}

import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";

/** The part of a long list that is seen. */
export interface Seen {
  /** How far the list is scrolled beyond its first row, in pixels; may be negative. */
  readonly top: number;
  readonly height: number;
  readonly rowHeight: number;
}

/** Returns the part of a list that is seen, and renders again when it changes. */
export function useSeen(list: RefObject<HTMLElement | null>, heightOfRow: () => number): Seen {
  const [seen, setSeen] = useState<Seen>(() => ({ top: 0, height: innerHeight, rowHeight: heightOfRow() }));
  useLayoutEffect(() => {
    let asked = 0;
    const measure = (): void => {
      asked = 0;
      if (list.current === null) return;
      const now = { top: -list.current.getBoundingClientRect().top, height: innerHeight, rowHeight: heightOfRow() };
      setSeen((before) => {
        const isSame = before.top === now.top && before.height === now.height && before.rowHeight === now.rowHeight;
        return isSame ? before : now;
      });
    };
    const ask = (): void => {
      asked ||= requestAnimationFrame(measure);
    };
    measure();
    addEventListener("scroll", ask, { passive: true });
    addEventListener("resize", ask);
    return () => {
      cancelAnimationFrame(asked);
      removeEventListener("scroll", ask);
      removeEventListener("resize", ask);
    };
  }, []);
  return seen;
}

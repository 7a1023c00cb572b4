import { existsSync } from "node:fs";
import { join } from "node:path";
import { slug } from "github-slugger";
import type { DefaultTheme } from "vitepress";
import { DOCS, ROOT, textOf } from "../guide.ts";
import { sitePath } from "./links.ts";
import { groupsOf, indexPage, sections } from "./sections.ts";

/** Where TypeDoc lists the pages of the API, relative to the root of the repository. */
const API_PAGES = `${DOCS}/api/navigation.json`;

/** An entry of TypeDoc's list. */
interface ApiEntry {
  readonly title: string;
  readonly path?: string;
  readonly children?: readonly ApiEntry[];
}

/** The bar at the top: one entry for each section. */
export function navigation(): DefaultTheme.NavItem[] {
  const own = sections().map((section) => ({
    text: section.title,
    link: address(indexPage(section)),
    activeMatch: `^/${section.folder}/`,
  }));
  return [...own, { text: "API", link: "/api/", activeMatch: "^/api/" }];
}

/** The list at the side of each page: of its section. */
export function sidebar(): DefaultTheme.SidebarMulti {
  const bySection = sections().map((section): [string, DefaultTheme.SidebarItem[]] => {
    const groups = groupsOf(section).map(({ title, entries }): DefaultTheme.SidebarItem => {
      const items = entries.map((entry) => ({ text: entry.title, link: address(entry.page) }));
      return title === undefined ? { items } : { text: title, collapsed: false, items };
    });
    return [`/${section.folder}/`, [{ text: section.title, link: address(indexPage(section)) }, ...groups]];
  });
  // Pages beside the sections are shown with the section whose index lists them.
  const beside = sections().flatMap((section, at) =>
    groupsOf(section)
      .flatMap(({ entries }) => entries)
      .filter(({ page }) => !page.includes("/"))
      .map(({ page }) => [address(page), bySection[at]?.[1] ?? []] as const),
  );
  return Object.fromEntries([...beside, ...bySection, ["/api/", apiSidebar()]]);
}

/**
 * The packages' entries, and the categories of the main one. Their pages list the exports, which are too many for the side of each page.
 *
 * @throws Error if the pages of the API have not been generated
 */
function apiSidebar(): DefaultTheme.SidebarItem[] {
  if (!existsSync(join(ROOT, API_PAGES))) throw new Error("the API reference is missing: run `npm run docs:api`");
  const [main] = JSON.parse(textOf(API_PAGES)) as readonly ApiEntry[];
  if (main?.path === undefined) throw new Error(`${API_PAGES} has no main entry`);
  const { title, path, children = [] } = main;
  const link = address(`api/${path}`);
  const categories = children
    .filter((child) => child.path === undefined)
    .map((child) => ({ text: child.title, link: `${link}#${slug(child.title)}` }));
  const others = children.flatMap((child) =>
    child.path === undefined ? [] : { text: `${title}/${child.title}`, link: address(`api/${child.path}`) },
  );
  return [{ text: "API", link: "/api/" }, { text: title, link, items: categories }, ...others];
}

/** The address of a page in the site, without a file ending. */
function address(page: string): string {
  return `/${sitePath(page).replace(/(?:(^|\/)index)?\.md$/, "$1")}`;
}

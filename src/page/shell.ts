import { useEffect, useState } from "preact/hooks";
import { html, type View } from "./html.ts";
import { FleetPage } from "./pages/fleet-page.ts";
import { LoginPage } from "./pages/login-page.ts";
import { Dialogs } from "./parts/dialogs.ts";
import { EmptyState } from "./parts/empty-state.ts";
import { Icon, type IconName } from "./parts/icon.ts";
import { lazyPage } from "./parts/lazy-page.ts";
import { LinkBanner, LinkDot } from "./parts/link-state.ts";
import { type Address, addressOf, type PageName, pathOf } from "./store/address.ts";
import { forgetDrafts } from "./store/drafts.ts";
import { countText } from "./store/format.ts";
import { keyOf, type Name } from "./store/name.ts";
import type { PageContext } from "./store/page-context.ts";
import { plain, shownName } from "./store/shown-name.ts";
import { applyTheme, savedTheme, type Theme } from "./store/theme.ts";

/** The frame of all pages. */
export function Shell({ context }: { readonly context: PageContext }): View {
  const { link, navigation, fleet } = context;
  const address = addressOf(navigation.place.value.path);
  const title = titleOf(address);
  const supervisor = fleet.server.value?.supervisor;
  const open = fleet.approvals.value.length;
  useEffect(() => {
    const count = open === 0 ? "" : `(${open}) `;
    document.title = supervisor === undefined ? `${count}${title}` : `${count}${title} · ${plain(supervisor)}`;
  }, [title, supervisor, open]);
  if (link.state.value === "login") return html`<${LoginPage} context=${context} />`;
  return html`
    <a class="skip" href="#content">Skip to content</a>
    <header class="bar">
      <a class="brand" href=${navigation.href("/")} aria-label="Castellan, all sessions">
        <img src=${`${context.base}/assets/icon.svg`} alt="" width="28" height="28" /><span>Castellan</span>
      </a>
      ${supervisor !== undefined && html`<span class="supervisor" title="Supervisor">${plain(supervisor)}</span>`}
      <nav aria-label="Pages">
        ${NAVIGATION.filter((page) => page !== "cluster" || fleet.server.value?.inCluster === true).map(
          (page) => html`<a
            key=${page}
            href=${navigation.href(pathOf({ page }))}
            aria-current=${address.page === page ? "page" : undefined}
            ><${Icon} name=${ICONS[page]} /><span>${TITLES[page]}</span>${
              page === "approvals" && open > 0 && html`<b class="count" title="Open approvals">${countText(open)}</b>`
            }</a
          >`,
        )}
      </nav>
      <div class="bar-end">
        <${LinkDot} state=${link.state.value} />
        <${ThemeButton} />
        <${LogoutButton} context=${context} />
      </div>
    </header>
    <${LinkBanner} context=${context} />
    <main id="content" tabindex="-1">
      ${pageOf(address, context)}
    </main>
    <${Dialogs} />
  `;
}

const TITLES: Readonly<Record<PageName, string>> = {
  fleet: "Fleet",
  tree: "Tree",
  approvals: "Approvals",
  costs: "Costs",
  cluster: "Cluster",
};

/** Shown where the bar is narrow. */
const ICONS: Readonly<Record<PageName, IconName>> = {
  fleet: "sessions",
  tree: "tree",
  approvals: "shield",
  costs: "coin",
  cluster: "nodes",
};

/** The pages in the order of the bar. */
const NAVIGATION = Object.keys(TITLES) as PageName[];

interface PageProps {
  readonly context: PageContext;
}

/** The list is what most people open first. */
const LAZY = {
  tree: lazyPage<PageProps>(async () => (await import("./pages/tree-page.ts")).TreePage),
  approvals: lazyPage<PageProps>(async () => (await import("./pages/approvals-page.ts")).ApprovalsPage),
  costs: lazyPage<PageProps>(async () => (await import("./pages/costs-page.ts")).CostsPage),
  cluster: lazyPage<PageProps>(async () => (await import("./pages/cluster-page.ts")).ClusterPage),
};

const LazySession = lazyPage<PageProps & { readonly name: Name }>(
  async () => (await import("./pages/session-page.ts")).SessionPage,
);

const PAGES: Readonly<Record<PageName, (props: PageProps) => View>> = { fleet: FleetPage, ...LAZY };

function pageOf(address: Address, context: PageContext): View {
  if (address.page === "session") {
    return html`<${LazySession} key=${keyOf(address.name)} context=${context} name=${address.name} />`;
  }
  if (address.page !== "missing") return html`<${PAGES[address.page]} context=${context} />`;
  return html`
    <h1 tabindex="-1" class="unseen">Not found</h1>
    <${EmptyState} icon="search" title="There is no such page">
      <a class="button" href=${context.navigation.href("/")}>Show all sessions</a>
    <//>
  `;
}

function titleOf(address: Address): string {
  if (address.page === "session") return shownName(address.name);
  return address.page === "missing" ? "Not found" : TITLES[address.page];
}

const NEXT: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };
const THEME_ICON = { system: "contrast", light: "sun", dark: "moon" } as const;

function ThemeButton(): View {
  const [theme, setTheme] = useState(savedTheme);
  const toggle = (): void => {
    setTheme(NEXT[theme]);
    applyTheme(NEXT[theme]);
  };
  const label = `Colours: ${theme}. Change to ${NEXT[theme]}`;
  return html`<button class="icon-button" type="button" title=${label} aria-label=${label} onClick=${toggle}>
    <${Icon} name=${THEME_ICON[theme]} />
  </button>`;
}

function LogoutButton({ context: { base, link, login, fleet } }: { readonly context: PageContext }): View {
  // On a server that trusts its neighbours nobody has logged in.
  if (login !== "token" || fleet.server.value?.caller.id.startsWith("token:") !== true) return null;
  const logout = async (): Promise<void> => {
    await fetch(`${base}/login`, { method: "DELETE" });
    forgetDrafts();
    link.enter("login");
    location.reload();
  };
  return html`<button class="icon-button" type="button" title="Log out" aria-label="Log out" onClick=${logout}>
    <${Icon} name="exit" />
  </button>`;
}

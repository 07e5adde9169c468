import { ChangeDetectionStrategy, Component, computed, DOCUMENT, inject, signal } from '@angular/core';
import { RouterLink, RouterLinkActive, RouterOutlet } from '@angular/router';
import type { IsActiveMatchOptions } from '@angular/router';
import { isSignedIn } from 'rx-credentials';
import { injectDefaultCredential } from 'rx-credentials-angular';
import { Accounts } from './accounts';
import { Avatar } from './parts/avatar';
import { StatusBar } from './parts/status-bar';
import { injectIsServer, RENDERED_BY } from './rendering';
import { nameOf } from './words';

@Component({
  selector: 'app-root',
  imports: [RouterOutlet, RouterLink, RouterLinkActive, StatusBar, Avatar],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    @if (!isFrame) {
      <header class="top">
        <div class="wrap row">
          <a class="brand" routerLink="/">rx<span>-</span>credentials</a>
          <nav aria-label="Pages">
            <a routerLink="/" routerLinkActive="here" [routerLinkActiveOptions]="exactPath" ariaCurrentWhenActive="page">Credentials</a>
            <a routerLink="/orders" routerLinkActive="here" ariaCurrentWhenActive="page">Orders</a>
            <a routerLink="/tabs" routerLinkActive="here" ariaCurrentWhenActive="page">Eight tabs</a>
          </nav>
          <p class="who" data-testid="who">
            @if (user(); as user) {
              <app-avatar [name]="name()" [seed]="user.claims?.sub ?? user.id" size="small" /> <span>{{ name() }}</span>
            } @else if (user() === null) {
              <span class="muted">{{ state().credentials.length > 0 ? 'no default' : 'signed out' }}</span>
            }
          </p>
        </div>
      </header>
      <app-status-bar />
    }
    <main [class.wrap]="!isFrame" [class.bare]="isFrame" id="main"><router-outlet /></main>
    @if (!isFrame) {
      <footer class="wrap muted" data-testid="rendered-by">
        {{ renderedBy === 'server' ? 'Rendered by: server, which knows nobody; the browser goes on.' : 'Rendered by: browser' }}
      </footer>
    }
  `,
  styles: `
    .top {
      border-block-end: 1px solid var(--line);
      background: var(--surface);
    }
    .row {
      display: flex;
      align-items: center;
      gap: 0.5rem 1.5rem;
      min-block-size: 3.5rem;
      flex-wrap: wrap;
      padding-block: 0.5rem;
    }
    .brand {
      font-weight: 700;
      font-size: 1.125rem;
      letter-spacing: -0.02em;
      color: var(--ink);
      text-decoration: none;
    }
    .brand span {
      color: var(--accent);
    }
    nav {
      display: flex;
      gap: 0.25rem;
    }
    nav a {
      padding: 0.35rem 0.7rem;
      border-radius: 0.5rem;
      color: var(--muted);
      text-decoration: none;
      font-weight: 500;
    }
    nav a:hover {
      color: var(--ink);
    }
    nav a.here {
      color: var(--ink);
      background: var(--sunken);
    }
    .who {
      display: flex;
      align-items: center;
      gap: 0.5rem;
      margin: 0 0 0 auto;
      font-weight: 600;
      min-inline-size: 0;
    }
    .who span {
      overflow: hidden;
      text-overflow: ellipsis;
      white-space: nowrap;
    }
    main {
      padding-block: 1.25rem 2.5rem;
    }
    footer {
      padding-block-end: 1.5rem;
      font-size: 0.875rem;
    }
    main.bare {
      padding: 0;
    }
    @media (max-width: 32rem) {
      .row {
        justify-content: space-between;
      }
      .who span {
        max-inline-size: 9rem;
      }
      nav {
        order: 1;
        inline-size: 100%;
        margin-inline-start: -0.7rem;
      }
    }
  `,
})
export class App {
  /** One of the eight tabs: it has no room for more than its page. */
  protected readonly isFrame = inject(DOCUMENT).location.pathname === '/tab';
  /** Home is home, whatever the query says. */
  protected readonly exactPath: IsActiveMatchOptions = {
    paths: 'exact',
    queryParams: 'ignored',
    matrixParams: 'ignored',
    fragment: 'ignored',
  };
  protected readonly state = inject(Accounts).state;
  protected readonly renderedBy = inject(RENDERED_BY);
  protected readonly user = injectIsServer() ? signal(undefined) : injectDefaultCredential();
  protected readonly name = computed(() => {
    const user = this.user();
    if (!user) return '';
    return isSignedIn(user) ? nameOf(user) : `${nameOf(user)} (signed out)`;
  });
}

import { ChangeDetectionStrategy, Component, effect, input, type Signal, signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import {
  injectCredentials,
  injectCredentialStatus,
  injectDefaultCredential,
  injectSessionLogoutFlow,
  injectAuthorizationCodeFlow,
  injectToken,
  provideCredentials,
  withName,
} from 'rx-credentials-angular';
import {
  createAngularApp,
  createAngularWorld,
  endAngularApp,
  endAngularWorld,
  type AngularApp,
  type AngularWorld,
} from '../support/angular-world.js';
import type { Credential, CredentialStatus } from '../../src/index.js';

let app: AngularApp;
let world: AngularWorld | undefined;
afterEach(async () => {
  await (world ? endAngularWorld(world) : endAngularApp(app));
  world = undefined;
});

/** Another token for a credential. */
async function renew(credential: Credential): Promise<void> {
  const refreshing = credential.refresh();
  await app.credentials.tick();
  await app.credentials.expectRefresh(credential.id).flush();
  await refreshing;
}

/** The server ends a session. */
async function reject(credential: Credential): Promise<void> {
  const rejected = expect(credential.refresh()).rejects.toMatchObject({ code: 'needs_sign_in' });
  await app.credentials.tick();
  await app.credentials.expectRefresh(credential.id).fail('invalid_grant');
  await rejected;
}

const inContext = <T>(run: () => T): T => TestBed.runInInjectionContext(run);
const idsOf = (list: Signal<readonly { readonly id: string }[] | undefined>): readonly string[] | undefined => list()?.map(({ id }) => id);

describe('injectCredentials', () => {
  it('is undefined until storage was read, then the list in order of storing', async () => {
    app = createAngularApp();
    const release = app.credentials.holdStorage();
    const [all, some] = inContext(() => [injectCredentials(), injectCredentials({ sub: 'bob' })] as const);
    await app.credentials.tick();
    expect([all(), some()]).toEqual([undefined, undefined]);
    await release();
    expect([all(), some()]).toEqual([[], []]);
    await app.credentials.signIn({ id: 'a' });
    await app.credentials.signIn({ id: 'b', sub: 'bob' });
    expect([idsOf(all), idsOf(some)]).toEqual([['a', 'b'], ['b']]);
  });

  it.each<[string, Parameters<typeof injectCredentials>[0]]>([
    ['criteria', { tags: 'work' }],
    ['a function', ({ tags }) => tags.includes('work')],
  ])('by %s follows what comes to match and what does no longer', async (_, query) => {
    app = createAngularApp();
    const list = inContext(() => injectCredentials(query));
    const [a, b] = [await app.credentials.signIn({ id: 'a' }), await app.credentials.signIn({ id: 'b', sub: 'bob' })];
    expect(idsOf(list)).toEqual([]);
    await b.setTags(['work']);
    await a.setTags(['work']);
    expect(idsOf(list)).toEqual(['a', 'b']);
    await a.setTags([]);
    expect(idsOf(list)).toEqual(['b']);
    await b.remove();
    expect(idsOf(list)).toEqual([]);
  });

  it('is another frozen list when a member changes, and the same one when another credential does', async () => {
    app = createAngularApp();
    const [a, b] = [await app.credentials.signIn({ id: 'a' }), await app.credentials.signIn({ id: 'b', sub: 'bob' })];
    await a.setTags(['work']);
    const list = inContext(() => injectCredentials({ tags: 'work' }));
    await app.credentials.tick();
    const before = list();
    expect(before).toEqual([a.state]);
    expect(before && Object.isFrozen(before) && before.every((state) => Object.isFrozen(state))).toBe(true);
    await renew(b);
    expect(list()).toBe(before);
    await renew(a);
    expect(list()).not.toBe(before);
    expect(list()?.[0]).toBe(a.state);
  });
});

describe('injectCredentialStatus', () => {
  it('says what is held and what is done, of the default without an id', async () => {
    app = createAngularApp();
    const status = inContext(() => injectCredentialStatus());
    expect(status()).toBeUndefined();
    await app.credentials.tick();
    expect(status()).toBeNull();
    const credential = await app.credentials.signIn({ id: 'a' });
    const rejected = expect(credential.refresh()).rejects.toMatchObject({ code: 'needs_sign_in' });
    await app.credentials.tick();
    expect(status()).toEqual({ token: 'valid', activity: 'refreshing' });
    await app.credentials.expectRefresh('a').fail('invalid_grant');
    await rejected;
    expect(status()).toEqual({ token: 'needs_sign_in', activity: 'idle' });
  });

  it('changes only when one of the two does', async () => {
    app = createAngularApp();
    const credential = await app.credentials.signIn({ id: 'a' });
    const seen: unknown[] = [];
    inContext(() => {
      const status = injectCredentialStatus('a');
      effect(() => seen.push(status()));
    });
    TestBed.tick();
    await credential.setTags(['work']);
    TestBed.tick();
    expect(seen).toEqual([{ token: 'valid', activity: 'idle' }]);
  });

  it('follows an id that changes', async () => {
    app = createAngularApp();
    await app.credentials.signIn({ id: 'a' });
    await app.credentials.signIn({ id: 'b', sub: 'bob', expiresIn: 1 });
    await app.credentials.tick(2_000);
    const id = signal<string | null>('a');
    const [status, token] = inContext(() => [injectCredentialStatus(id), injectToken(id)] as const);
    TestBed.tick();
    expect([status()?.token, token()?.id]).toEqual(['valid', 'a']);
    id.set('nobody');
    TestBed.tick();
    expect([status(), token()]).toEqual([null, null]);
    id.set(null); // the default
    TestBed.tick();
    expect([status()?.token, token()?.id]).toEqual(['valid', 'a']);
  });
});

describe('injectToken', () => {
  it('is the token of the default, the renewed one after a renewal, null when the user must sign in', async () => {
    app = createAngularApp();
    const release = app.credentials.holdStorage();
    const token = inContext(() => injectToken());
    await app.credentials.tick();
    expect(token()).toBeUndefined();
    await release();
    expect(token()).toBeNull();
    const credential = await app.credentials.signIn({ id: 'a' });
    expect(token()).toBe(credential.token);
    const before = token();
    await renew(credential);
    expect(token()).toBe(credential.token);
    expect(token()).not.toBe(before);
    await reject(credential);
    expect(token()).toBeNull();
  });

  it('is the token of an id, and null for one that is not here', async () => {
    app = createAngularApp();
    await app.credentials.signIn({ id: 'a' });
    const bob = await app.credentials.signIn({ id: 'b', sub: 'bob' });
    const [one, none] = inContext(() => [injectToken('b'), injectToken('c')] as const);
    expect([one(), none()]).toEqual([bob.token, null]);
    await bob.remove();
    expect(one()).toBeNull();
  });
});

describe('views', () => {
  it('OnPush and zoneless views repaint on each change of state', async () => {
    app = createAngularApp();
    @Component({
      selector: 'app-one',
      changeDetection: ChangeDetectionStrategy.OnPush,
      template: `{{ id() }}:{{ status()?.activity }}:{{ token()?.accessToken !== undefined }} `,
    })
    class One {
      readonly id = input.required<string>();
      readonly status = injectCredentialStatus(() => this.id());
      readonly token = injectToken(() => this.id());
    }
    @Component({
      imports: [One],
      changeDetection: ChangeDetectionStrategy.OnPush,
      template: `@for (credential of credentials(); track credential.id) {
          <app-one [id]="credential.id" />
        }
        @if (user() === null) {
          nobody
        }`,
    })
    class List {
      readonly credentials = injectCredentials();
      readonly user = injectDefaultCredential();
    }
    const fixture = TestBed.createComponent(List);
    const text = async (): Promise<string> => {
      await fixture.whenStable();
      return (fixture.nativeElement as HTMLElement).textContent.trim();
    };
    expect(await text()).toBe('nobody');
    const credential = await app.credentials.signIn({ id: 'a' });
    expect(await text()).toBe('a:idle:true');
    const refreshing = credential.refresh();
    await app.credentials.tick();
    expect(await text()).toBe('a:refreshing:true');
    await app.credentials.expectRefresh('a').flush();
    await refreshing;
    expect(await text()).toBe('a:idle:true');
    await credential.remove();
    expect(await text()).toBe('nobody');
  });

  it('E28 an effect may miss what came between; events$ shows all of it', async () => {
    world = createAngularWorld(); // whose server answers within a turn of the event loop
    const credential = await world.signIn({ id: 'a' });
    const [seen, events]: [(CredentialStatus | null | undefined)[], string[]] = [[], []];
    world.store.events$.subscribe(({ type }) => events.push(type));
    inContext(() => {
      const status = injectCredentialStatus();
      effect(() => seen.push(status()));
    });
    await credential.refresh();
    await credential.refresh();
    TestBed.tick();
    expect(seen).toEqual([{ token: 'valid', activity: 'idle' }]);
    expect(events).toEqual(['refresh_started', 'token_replaced', 'refresh_started', 'token_replaced']);
  });
});

describe('a store with a name', () => {
  it('is meant by { store } everywhere', async () => {
    const client = { issuer: 'https://id.example.com', clientId: 'admin', redirectUri: 'https://app.example.com/callback' };
    app = createAngularApp({ providers: [provideCredentials(client, withName('admin'))] });
    const credential = await app.credentials.signIn({ id: 'root' }, { store: 'admin' });
    inContext(() => {
      const admin = { store: 'admin' };
      expect(injectDefaultCredential(admin)()).toBe(credential.state);
      expect(injectCredentials(undefined, admin)()).toEqual([credential.state]);
      expect(injectCredentialStatus('root', admin)()).toEqual(credential.status);
      expect(injectToken(undefined, admin)()).toBe(credential.token);
      expect(injectAuthorizationCodeFlow(undefined, admin)).not.toBe(injectAuthorizationCodeFlow());
      expect(injectSessionLogoutFlow(undefined, admin)).toBeDefined();
      expect(() => injectDefaultCredential({ store: 'nobody' })).toThrow(/CredentialStore "nobody": provideCredentials/);
    });
  });

  it.each<[string, () => unknown]>([
    ['injectCredentials', () => injectCredentials()],
    ['injectCredentialStatus', () => injectCredentialStatus()],
    ['injectToken', () => injectToken()],
  ])('%s works in an injection context only', (_, outside) => {
    app = createAngularApp();
    expect(outside).toThrow(/NG0?203/);
  });
});

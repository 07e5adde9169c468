// The people of the demo: whoever types a name exists.
import { createHash } from 'node:crypto';

/** Accounts by subject. Two spellings of one name ("Alice", " alice ") are one person. */
export function createAccounts() {
  const names = new Map();
  return {
    /** @returns the subject for a typed name, or null where it is blank */
    signIn(typedName) {
      const name = String(typedName ?? '')
        .normalize('NFKC')
        .replace(/\s+/g, ' ')
        .trim()
        .slice(0, 80);
      if (name === '') return null;
      const sub = subjectOf(name);
      if (!names.has(sub)) names.set(sub, name);
      return sub;
    },
    /** The form that oidc-provider's `findAccount` asks for. */
    find(_ctx, sub) {
      return { accountId: sub, claims: async () => claimsOf(sub, names.get(sub) ?? sub) };
    },
  };
}

/** OpenID Connect Core §2: a subject is ASCII, at most 255 characters. */
function subjectOf(name) {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const subject = plain.replace(/[^a-z0-9@._-]+/g, '.').replace(/^\.+|\.+$/g, '');
  return subject === '' ? `user-${createHash('sha256').update(plain).digest('hex').slice(0, 12)}` : subject;
}

function claimsOf(sub, name) {
  const local = sub.split('@')[0] || 'user';
  const shown = name.split('@')[0] || name;
  return { sub, name: shown.charAt(0).toUpperCase() + shown.slice(1), email: sub.includes('@') ? sub : `${local}@example.test` };
}

const HIDDEN = '***';

/** Everything between `://user:` and the last `@` of the word; a password may hold a `/`, a `:` or an `@` of its own. The
 * scheme has a bound, or a long word would be looked through again from each of its letters: a megabyte took minutes. Of a longer one the end
 * is found. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/@]*:)[^\s'"]*@/gi;
/** `password=...` as in keyword connection strings and URL queries, quoted or not. */
const KEYWORD_PASSWORD = /\b((?:password|passwd|pwd|sslpassword|secret|token)\s*=\s*)('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s&;,)'"]+)/gi;

/** Takes passwords out of any connection string in the text. */
export function redactDsns(text: string): string {
  return text.replace(URL_PASSWORD, `$1${HIDDEN}@`).replace(KEYWORD_PASSWORD, `$1${HIDDEN}`);
}

/** Knows the secrets of this process and takes them out of whatever is printed. */
export interface Redactor {
  /** Remembers a secret value; an empty one is ignored. */
  add(secret: string): void;
  /** The text without connection string passwords and without any remembered secret. */
  readonly redact: (text: string) => string;
}

/** A redactor that knows no secret yet. One a process: secrets are added where they are resolved, before they are used. */
export function createRedactor(): Redactor {
  const secrets = new Set<string>();
  let ordered: readonly string[] = [];
  return {
    add: (secret) => {
      if (secret === '') return;
      // A secret also leaves percent-encoded in a URL and escaped in JSON.
      for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]) secrets.add(form);
      // The longest first, or a secret that begins with another would keep its tail.
      ordered = [...secrets].sort((a, b) => b.length - a.length);
    },
    redact: (text) => {
      let clean = text;
      for (const secret of ordered) clean = clean.replaceAll(secret, HIDDEN);
      return redactDsns(clean);
    },
  };
}

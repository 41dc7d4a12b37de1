import { describeError, PipelineError } from './errors.ts';
import { leaseNames } from './lease.ts';
import type { ServiceContext } from './ports/service.ts';

/** How long a process counts as alive after it was last heard of, in milliseconds. */
const LEASE_MS = 3000;

/**
 * The share of a service's work that one of several equal processes takes. Each process holds one of the numbered places of its service by a
 * lease, the lowest that is free; the places that are held say how many processes there are, and each name belongs to one place (the highest
 * hash, so that a process that comes or goes moves only its own share). Advisory, as leases are: for a moment two may think that they
 * own a name, or none.
 */
export class Share {
  private readonly ctx: ServiceContext;
  private readonly service: string;
  private readonly token: string;
  private place: number | undefined;
  private places = 1;

  constructor(ctx: ServiceContext, service: string) {
    this.ctx = ctx;
    this.service = service;
    this.token = ctx.ids.next();
  }

  /** True while this name is this process's to work on. */
  owns(name: string): boolean {
    return this.place !== undefined && ownerOf(name, this.places) === this.place;
  }

  /** Keeps the place until the context's signal aborts, then gives it up. While the state store is away everything stays as it is. */
  async keep(): Promise<void> {
    const { ctx } = this;
    while (!ctx.signal.aborted) {
      try {
        await this.look();
      } catch (error) {
        if (!(error instanceof PipelineError) || error.retry !== 'timed') throw error;
        ctx.log.debug('share not looked at', { service: this.service, err: describeError(error) });
      }
      await ctx.clock.sleep(LEASE_MS / 3, ctx.signal);
    }
    if (this.place !== undefined) await ctx.state.release(this.nameOf(this.place), this.token).catch(() => undefined); // It runs out by itself.
  }

  /** Takes the lowest free place, lets go of a higher one, and counts the places above that others hold. */
  private async look(): Promise<void> {
    const { state } = this.ctx;
    const before = this.place;
    let place = 0;
    while (!(await state.lease(this.nameOf(place), this.token, LEASE_MS))) place++;
    if (before !== undefined && before !== place) await state.release(this.nameOf(before), this.token);
    let places = place + 1;
    // Looked at and not tried: a place that is taken only to see that it is free would count as one more process for others who look.
    while (await state.isLeased(this.nameOf(places))) places++;
    this.place = place;
    if (before !== place || this.places !== places)
      this.ctx.log.info('share of the work', { service: this.service, place: `${place + 1}/${places}` });
    this.places = places;
  }

  private nameOf(place: number): string {
    return leaseNames.place(this.service, place);
  }
}

/** The place that a name belongs to: rendezvous hashing (Thaler and Ravishankar, 1998). */
export function ownerOf(name: string, places: number): number {
  let owner = 0;
  let highest = -1;
  for (let place = 0; place < places; place++) {
    const weight = hash32(`${place}/${name}`);
    if (weight > highest) [owner, highest] = [place, weight];
  }
  return owner;
}

/** FNV-1a with a final mixing step, 32 bits: names that differ in one letter spread. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

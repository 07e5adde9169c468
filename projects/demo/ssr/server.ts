/** What Angular's server hands to the demo's web server: one function that answers a request for a page. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { AngularNodeAppEngine, writeResponseToNodeResponse } from '@angular/ssr/node';
import type { DemoConfig } from '../src/app/config';

const engine = new AngularNodeAppEngine();

/**
 * Answers with the page, drawn for this request alone. Headers that `response` has already stay.
 *
 * @param config what an application would read from its environment
 * @returns false: the application has no such page, and nothing was sent
 */
export async function renderPage(request: IncomingMessage, response: ServerResponse, config: DemoConfig): Promise<boolean> {
  const page = await engine.handle(request, config);
  if (!page) return false;
  await writeResponseToNodeResponse(page, response);
  return true;
}

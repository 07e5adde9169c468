/** Where the keyboard goes when what it was on goes away. */
import { afterNextRender, ElementRef, inject, Injector } from '@angular/core';
import { injectIsServer } from './rendering';

/**
 * What to call in an effect of the component, before the change is drawn: if that takes the focused element of the component away,
 * `refuge` gets the focus.
 */
export function injectFocusRescue(refuge: () => ElementRef<HTMLElement> | undefined): () => void {
  const { nativeElement: host } = inject<ElementRef<HTMLElement>>(ElementRef);
  const injector = inject(Injector);
  if (injectIsServer()) return () => undefined;
  const write = (): void => {
    if (document.activeElement === document.body) refuge()?.nativeElement.focus();
  };
  return () => {
    if (host.contains(document.activeElement)) afterNextRender({ write }, { injector });
  };
}

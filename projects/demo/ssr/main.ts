import { inject, TransferState } from '@angular/core';
import { RENDERED_BY } from '../src/app/rendering';
import { start } from '../src/start';
import { provideHydration, RENDERED_BY_KEY } from './hydration';

start(provideHydration(), { provide: RENDERED_BY, useFactory: () => inject(TransferState).get(RENDERED_BY_KEY, 'browser') });

import { HttpClient } from '@angular/common/http';
import { ChangeDetectionStrategy, Component, inject, signal } from '@angular/core';
import { firstValueFrom } from 'rxjs';
import { DEMO_CONFIG } from '../config';
import { StatusLine } from '../status';

interface Order {
  readonly id: number;
  readonly item: string;
  readonly quantity: number;
}

/** Behind a guard: nobody gets here without a credential, and nothing here knows about tokens. */
@Component({
  selector: 'app-orders',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `
    <section class="card">
      <h1>Orders</h1>
      @if (orders(); as orders) {
        <table>
          <thead>
            <tr>
              <th scope="col">Order</th>
              <th scope="col">Item</th>
              <th scope="col" class="number">Quantity</th>
            </tr>
          </thead>
          <tbody>
            @for (order of orders; track order.id) {
              <tr>
                <td>{{ order.id }}</td>
                <td>{{ order.item }}</td>
                <td class="number">{{ order.quantity }}</td>
              </tr>
            }
          </tbody>
        </table>
      } @else {
        <p class="muted">Not loaded.</p>
      }
    </section>
  `,
  styles: `
    section {
      max-inline-size: 42rem;
      margin-inline: auto;
    }
    h1 {
      margin-block: 0 1rem;
      font-size: 1.5rem;
    }
    table {
      inline-size: 100%;
      border-collapse: collapse;
    }
    th,
    td {
      text-align: start;
      padding: 0.5rem 0.25rem;
      border-block-end: 1px solid var(--line);
    }
    .number {
      text-align: end;
      font-variant-numeric: tabular-nums;
    }
  `,
})
export class Orders {
  protected readonly orders = signal<readonly Order[] | null>(null);

  constructor() {
    const http = inject(HttpClient);
    const { apiUrl } = inject(DEMO_CONFIG);
    void inject(StatusLine).run(async () => {
      const { orders } = await firstValueFrom(http.get<{ readonly orders: readonly Order[] }>(`${apiUrl}orders`));
      this.orders.set(orders);
      return `${orders.length} orders, read with the token of the default credential.`;
    });
  }
}

"""A small service business, simulated day by day, with the exact probability of each leaving.

    simulate(mode="retail") ─► Simulation(tables, truth, …)
    write(simulation, folder=…) ─► CSV files and lifecycle.toml

The parameters in capitals are in `lifecycle.simulation.world`.

Hidden state. Satisfaction is a level, 0 (angry) … 4 (delighted), and moves at most one step a day
(`STEP_DOWN`, `STEP_UP`, a Markov chain): from above it drifts back to 2–3; the bottom holds. The
tables show it and never move it. Retail: a customer leaves for good with the daily hazard
`LEAVES[level]`. Until then each buys, at most once a day, with an own constant probability (gamma,
mean gap 30 days, most between 20 and 40; 3 % are prospects who never buy). No event announces a
leaving, and a slow buyer looks like a leaver. Subscription: see the docstring of
`lifecycle.simulation.subscription`.

    customers
        customer_id   six digits and more, by day of acquisition
        acquired_at   80 % evenly over the first two thirds of the span, 20 % over all of it
        channel       of acquisition; after a referral satisfaction starts half a level higher
        segment       private, family, business (buys 15 % more often; retail: for twice the money)
        region        noise
    transactions
        occurred_at   the first purchase is 10 minutes after acquisition (subscription: at it)
        recorded_at   the same; 1–3 days later for 2 %
        amount        EUR paid, log-normal with median 35, or the term's price; refunds negative
        kind          purchase
                      refund: of all or half of the last purchase, 1–5 days after 30 % of
                      complaints, unless the customer has left
                      payment_failed: minutes before 2 % of purchases
        category      noise, or the plan
        channel       web, app, store: noise
        discount      EUR taken off: a tenth of the price, on 20 % of purchases
        method        card, invoice, wallet: each customer has a usual one, and uses any on 10 % of
                      payments; noise
    interactions
        kind          visit (retail): just before each purchase, and with 7 times the own buying
                      probability times `VISITS[level]`
                      usage (subscription)
                      sent: a weekly letter to 15 %, until 60 days after leaving
                      opened: within hours, probability `OPENS[level]`
                      call: with 40 % of complaints, or on one day in 500
                      cancel_page (subscription)
                      downgrade_page (retail): on one day in 2,000; noise
        channel       web, app, store; email; phone
        quantity      pages of a visit or minutes of usage (Poisson, more at high levels); minutes
                      of a call
    feedback
        occurred_at   when sent or raised
        kind          csat: a day after 40 % of purchases
                      nps: every 91 days from acquisition until 120 days after leaving
                      complaint: daily probability `COMPLAINS[level]`, and 50 % on a step down to
                      level 0 or 1
                      review: 2–9 days after 6 % of purchases
        score         csat, review 1–5: level + 1 with noise of sd 0.7
                      nps 0–10: 2.5 · level with noise of sd 1.2
        answered_at   about ten hours later, probability `ANSWERS[level]`, never after leaving
        resolved_at   of 85 % of complaints, median two days
        topic         of a complaint: noise
        item          of a csat or review: the category (or plan) bought

All times are UTC, to the second. What happens, is answered, resolved or recorded after the last day
is not in the tables.

The truth is in no table. Its columns: customer_id; as_of, midnight on the first of each month from
the seventh on, while as_of + horizon ≤ end; p_leave, P(no purchase in
[as_of, as_of + horizon_days)) given the hidden state at as_of, exact, by recursion backwards over
the days; left, whether the customer has left for good. A prospect has p_leave = 1.
"""

from __future__ import annotations

from lifecycle.simulation.files import write
from lifecycle.simulation.simulator import simulate
from lifecycle.simulation.world import MODES, START, Simulation

__all__ = ["MODES", "START", "Simulation", "simulate", "write"]

-- The shop of the demo: an order and its event are committed together, or not at all.
create table shop.orders (
    id bigint generated always as identity primary key,
    customer text not null,
    cents bigint not null,
    placed_at timestamptz not null default now()
);

create function shop.place_order(customer text, cents bigint) returns bigint
language sql as $$
    with placed as (
        insert into shop.orders (customer, cents) values (customer, cents)
        returning *
    ), announced as (
        select id, walrelay.emit(
            topic => 'orders',
            key => placed.customer,
            type => 'order.placed',
            payload => jsonb_build_object('order', id, 'customer', placed.customer, 'cents', placed.cents))
        from placed
    )
    select id from announced
$$;

select walrelay.create_queue('parcels');

-- The same, and the work that follows from it: one more row for the worker, one for the mailer.
create function shop.order_and_send(customer text, cents bigint) returns bigint
language plpgsql as $$
declare
    placed bigint := shop.place_order(customer, cents);
begin
    perform walrelay.enqueue_workflow('send_parcel', 'parcels', key => customer,
        input => jsonb_build_object('order', placed));
    insert into shop.mail_outbox (customer, template, body)
    values (customer, 'thank_you', jsonb_build_object('order', placed));
    return placed;
end
$$;

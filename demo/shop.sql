-- The shop of the demo: an order and its event are committed together, or not at all.
create schema shop;

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

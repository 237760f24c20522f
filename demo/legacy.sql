-- What the shop had before it knew of walrelay: a table that its mailer used to poll.
create schema shop;

create table shop.mail_outbox (
    mail_id uuid primary key default gen_random_uuid(),
    customer text not null,
    template text not null,
    body jsonb not null,
    meta jsonb
);

-- Distribute the pictures over several machines with Citus. All other tables stay on the coordinator.
-- docs/scaling.md, "Citus", explains why only the pictures, and lists what each statement accesses.
--
-- Run this once, as the tables' owner, in the coordinator's database, after a server has created the
-- tables and while no server is running. Before, run `create extension citus` on all nodes, and
-- citus_add_node for each worker.

begin;

-- Citus does not support foreign keys between local and distributed tables. Triggers replace them:
alter table picture drop constraint picture_account_id_fkey;
alter table gallery drop constraint gallery_picture_id_fkey;
alter table account drop constraint account_picture_id_fkey;

-- Deleting an account deletes its own picture. Only an account that shows a picture can have one.
create or replace function delete_pictures_of_account() returns trigger language plpgsql as $$
begin
    delete from picture where account_id = old.id;
    return null;
end $$;

drop trigger if exists delete_pictures on account;
create trigger delete_pictures after delete on account
    for each row when (old.picture_id is not null)
    execute function delete_pictures_of_account();

-- Removing a picture from the gallery removes it from the accounts. With Citus, delete it from
-- `gallery` manually (`server.py gallery remove` deletes from `picture`, which has no trigger):
--     delete from gallery where id = 11;
create or replace function delete_picture_of_gallery() returns trigger language plpgsql as $$
begin
    update account set picture_id = null where picture_id = old.picture_id;
    delete from picture where id = old.picture_id;
    return null;
end $$;

drop trigger if exists delete_picture on gallery;
create trigger delete_picture after delete on gallery
    for each row execute function delete_picture_of_gallery();

-- Distributed by its own id, which is unique, and by which /pictures/<id> finds it.
select create_distributed_table('picture', 'id');

commit;
